// Four consecutive floats as they lie in memory. A software adapter loads and stores value by value for each lane, so
// INT64 = 1 takes them as two 64-bit integers where the adapter has such: half the values, and taking them apart is cheap.
// The byte order is WebGPU's, little-endian.

#define INT64 0

#if INT64
alias Quad = vec2<u64>;

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
#else
alias Quad = vec4<f32>;

fn unquad(q: Quad) -> vec4<f32> {
    return q;
}

fn quad(v: vec4<f32>) -> Quad {
    return v;
}
#endif
