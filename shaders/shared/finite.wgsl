// How a loss tells of inputs that are not finite, whatever the driver makes of them: max, min and clamp give the other operand for NaN,
// exp and log may give an ordinary number, comparisons are false, and compilers may take it that there is none.
//
// A loss keeps the largest magnitude of what it reads, as an integer, in which those of infinity and NaN are the largest, and hands it to
// `told` with what it writes.

fn magnitude(v: f32) -> u32 {
    return bitcast<u32>(v) & 0x7fffffffu;
}

fn magnitude2(v: vec2<f32>) -> u32 {
    return max(magnitude(v.x), magnitude(v.y));
}

// v, or, where something of the magnitude `most` is not finite, that.
fn told(v: f32, most: u32) -> f32 {
    return select(v, bitcast<f32>(most), most >= 0x7f800000u);
}
