// Four (Quad) or two (Pair) consecutive floats as they lie in memory. A software adapter loads and stores value by value for
// each lane, so INT64 = 1 takes two floats as one 64-bit integer where the adapter has such: half the values, and taking them
// apart is cheap.
// The byte order is WebGPU's, little-endian.

#define INT64 0

#if INT64
alias Quad = vec2<u64>;
alias Pair = u64;

fn unquad(q: Quad) -> vec4<f32> {
    return vec4<f32>(
        bitcast<f32>(u32(q.x)), bitcast<f32>(u32(q.x >> 32u)),
        bitcast<f32>(u32(q.y)), bitcast<f32>(u32(q.y >> 32u)),
    );
}

fn quad(v: vec4<f32>) -> Quad {
    let w = bitcast<vec4<u32>>(v);
    return vec2<u64>(u64(w.x) | u64(w.y) << 32u, u64(w.z) | u64(w.w) << 32u);
}

fn unpair(p: Pair) -> vec2<f32> {
    return vec2<f32>(bitcast<f32>(u32(p)), bitcast<f32>(u32(p >> 32u)));
}

fn pair(v: vec2<f32>) -> Pair {
    let w = bitcast<vec2<u32>>(v);
    return u64(w.x) | u64(w.y) << 32u;
}
#else
alias Quad = vec4<f32>;
alias Pair = vec2<f32>;

fn unquad(q: Quad) -> vec4<f32> {
    return q;
}

fn quad(v: vec4<f32>) -> Quad {
    return v;
}

fn unpair(p: Pair) -> vec2<f32> {
    return p;
}

fn pair(v: vec2<f32>) -> Pair {
    return v;
}
#endif
