// max(v, 0) that keeps what is no number: drivers' max gives 0 for it, and a network whose weights are none would compute on with zeros
// and a finite loss. Told by bits, as drivers may take it that there is no such thing: of all that has a sign, −0 to −∞ is at most
// 0x7f800000 beyond the sign's bit.

fn relu1(v: f32) -> f32 {
    return select(v, 0.0, bitcast<u32>(v) - 0x80000000u <= 0x7f800000u);
}

fn relu2(v: vec2<f32>) -> vec2<f32> {
    return select(v, vec2<f32>(0.0), bitcast<vec2<u32>>(v) - vec2<u32>(0x80000000u) <= vec2<u32>(0x7f800000u));
}

fn relu4(v: vec4<f32>) -> vec4<f32> {
    return select(v, vec4<f32>(0.0), bitcast<vec4<u32>>(v) - vec4<u32>(0x80000000u) <= vec4<u32>(0x7f800000u));
}
