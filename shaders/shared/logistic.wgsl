// log(1 + x) for x in 0..1, exact also where 1 + x rounds to 1.
fn log1p(x: vec2<f32>) -> vec2<f32> {
    let series = x * (1.0 - x * (0.5 - x * (1.0 / 3.0 - 0.25 * x)));
    return select(log(1.0 + x), series, x < vec2<f32>(0.02));
}

// log(1 + e^x).
fn softplus(x: vec2<f32>) -> vec2<f32> {
    return max(x, vec2<f32>(0.0)) + log1p(exp(-abs(x)));
}

// 1 / (1 + e^−x), with no power of e above 1, so that nothing overflows.
fn sigmoid(x: vec2<f32>) -> vec2<f32> {
    let e = exp(-abs(x));
    return select(e, vec2<f32>(1.0), x >= vec2<f32>(0.0)) / (1.0 + e);
}
