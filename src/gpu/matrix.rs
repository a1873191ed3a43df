//! The self-test of cooperative matrices: whether a device computes right with them.

use super::adapter::Matrix;
use super::device::Gpu;
use super::view::View;
use super::wgsl::Source;
use crate::Result;

const SOURCE: Source = Source { name: "gpu/matrix", text: include_str!("../../shaders/gpu/matrix.wgsl") };

/// The operands of the self-test: small multiples of 1/8, which f16 holds and whose sums f32 holds, all exactly.
fn operands(edge: usize) -> Vec<f32> {
    (0..12 * edge * edge)
        .map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 7) % 33)
        .map(|v| v as f32 / 8.0 - 2.0)
        .collect()
}

/// What the self-test must find.
fn expected(edge: usize, operands: &[f32]) -> Vec<f32> {
    let area = edge * edge;
    let mut all = Vec::new();
    for own in operands.chunks(3 * area) {
        let (x, y, w) = (&own[..area], &own[area..2 * area], &own[2 * area..]);
        for (row, column) in (0..area).map(|i| (i / edge * edge, i % edge)) {
            let terms = (0..edge).map(|k| x[row + k] * w[k * edge + column] + y[row + k] * w[column * edge + k]);
            all.push(terms.sum());
        }
    }
    all
}

/// Whether `gpu`, which has `matrix` open, computes small products as the processor does, to the last bit.
pub(super) fn agrees(gpu: &Gpu, matrix: Matrix) -> Result<bool> {
    let operands = operands(matrix.edge);
    let want = expected(matrix.edge, &operands);
    let sent = gpu.upload(bytemuck::cast_slice(&operands))?;
    let out = gpu.upload(&vec![0xff; 4 * want.len()])?;
    let whole = |buffer: &std::sync::Arc<super::pool::Buffer>, values: usize| View {
        buffer: buffer.clone(),
        offset: 0,
        size: 4 * values as u64,
    };
    gpu.launch(SOURCE, "matrix_check", &matrix.defines())?
        .bind("operands", whole(&sent, operands.len()))
        .bind("out", whole(&out, want.len()))
        .groups(1)?;
    let got = gpu.read(&whole(&out, want.len()))?;
    Ok(got == bytemuck::cast_slice::<f32, u8>(&want))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::parse;

    #[test]
    fn the_self_test_is_valid_in_every_form() {
        for (edge, lanes) in [(8, 8), (8, 32), (16, 32), (16, 64)] {
            let module = parse(SOURCE, &Matrix { edge, lanes }.defines()).unwrap();
            let interface = module.interface("matrix_check").unwrap();
            assert!(interface.workgroup_bytes <= 16 << 10);
            naga::back::spv::write_vec(&module.naga, &module.info, &Default::default(), None).unwrap();
        }
    }

    #[test]
    fn the_self_test_is_exact_and_tells_its_operands_apart() {
        for edge in [8, 16] {
            let (area, right) = (edge * edge, operands(edge));
            assert!(right.iter().all(|v| (v * 8.0).fract() == 0.0 && v.abs() <= 2.0));
            let want = expected(edge, &right);
            let mut swapped = right.clone();
            let mut turned = right.clone();
            for own in 0..4 {
                let at = 3 * area * own;
                for i in 0..area {
                    swapped.swap(at + i, at + area + i);
                    turned[at + 2 * area + i] = right[at + 2 * area + i % edge * edge + i / edge];
                }
            }
            for wrong in [expected(edge, &swapped), expected(edge, &turned)] {
                assert!(want.chunks(area).zip(wrong.chunks(area)).all(|(a, b)| a != b));
            }
            assert!(want.chunks(area).skip(1).all(|c| c != &want[..area]), "every subgroup has its own");
        }
    }
}
