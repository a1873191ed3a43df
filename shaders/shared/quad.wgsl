// Four consecutive floats as they are loaded. A software adapter loads value by value for each lane, so INT64 = 1 takes two
// 64-bit integers where the adapter has them: half the loads, and taking them apart is cheap. The byte order is WebGPU's,
// little-endian.

#define INT64 0

#if INT64
alias Quad = vec2<u64>;

fn unquad(q: Quad) -> vec4<f32> {
    return vec4<f32>(
        bitcast<f32>(u32(q.x)), bitcast<f32>(u32(q.x >> 32u)),
        bitcast<f32>(u32(q.y)), bitcast<f32>(u32(q.y >> 32u)),
    );
}
#else
alias Quad = vec4<f32>;

fn unquad(q: Quad) -> vec4<f32> {
    return q;
}
#endif
