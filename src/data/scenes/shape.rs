//! Shapes: which points belong to them. All arithmetic is exact in the sense of IEEE 754 (no sines), so that a scene is the same on
//! every machine.

/// Their names, by which classes are numbered.
pub(super) const SHAPES: [&str; 4] = ["disc", "square", "triangle", "cross"];

/// The most that a shape reaches beyond its radius.
pub(super) const REACH: f32 = 1.0;

/// Whether the point is inside shape number `shape` of radius 1 around the origin.
pub(super) fn inside(shape: usize, x: f32, y: f32) -> bool {
    match shape {
        0 => x * x + y * y <= 0.81,
        1 => x.abs() <= 0.7 && y.abs() <= 0.7,
        // Corners at (0, -1), (±√¾, ½).
        2 => y <= 0.5 && 1.732_050_8 * x.abs() - y <= 1.0,
        _ => (x.abs() <= 0.3 && y.abs() <= 0.9) || (y.abs() <= 0.3 && x.abs() <= 0.9),
    }
}

/// Cosine and sine of an angle that grows with `t`, from 0 at 0 to a right angle at 1.
pub(super) fn turn(t: f32) -> (f32, f32) {
    let square = t * t;
    ((1.0 - square) / (1.0 + square), 2.0 * t / (1.0 + square))
}
