// Where a varied image's pixels come from: see `geometry::Warp`, whose 64 bytes these are.

struct Warp {
    // a, b, c, d
    first: vec4<f32>,
    // e, f, centre.x, centre.y
    second: vec4<f32>,
    rows: vec4<u32>,
    // The noise's seed; the rest is unused.
    noise: vec4<u32>,
}

struct Found {
    seen: bool,
    row: u32,
    // A point of that row's image, continuous: the pixel (0, 0) covers 0..1 both ways.
    at: vec2<f32>,
}

// The point that is seen at (x, y), of images of `size` = (width, height).
fn found(warp: Warp, x: f32, y: f32, size: vec2<f32>) -> Found {
    let p = vec2<f32>(
        warp.first.x * x + warp.first.y * y + warp.first.z,
        warp.first.w * x + warp.second.x * y + warp.second.y,
    ) - warp.second.zw;
    let right = p.x >= 0.0;
    let below = p.y >= 0.0;
    let upper = select(warp.rows.x, warp.rows.y, right);
    let lower = select(warp.rows.z, warp.rows.w, right);
    let row = select(upper, lower, below);
    let at = p + vec2<f32>(select(size.x, 0.0, right), select(size.y, 0.0, below));
    let seen = row != 0xffffffffu && all(at >= vec2<f32>(0.0)) && all(at < size);
    return Found(seen, row, at);
}
