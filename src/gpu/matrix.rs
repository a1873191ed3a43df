//! Cooperative matrices: which adapters have them in a form that kernels use, and whether a device computes right with them.

use super::adapter::Profile;
use super::device::Gpu;
use super::record::View;
use super::wgsl::{Defines, Source};
use crate::{Result, defines};

const SOURCE: Source = Source { name: "gpu/matrix", text: include_str!("../../shaders/gpu/matrix.wgsl") };

/// Cooperative matrices as a device has them open: square, with operands in f16 and sums in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrix {
    /// Rows, columns and terms of a product: 16 or 8.
    pub edge: usize,
    /// Invocations of the largest subgroup: those of a workgroup with so many for each of its subgroups are at least as many
    /// subgroups.
    pub lanes: usize,
}

impl Matrix {
    /// What kernels are compiled with.
    pub fn defines(&self) -> Defines {
        defines! { EDGE = self.edge, LANES = self.lanes }
    }
}

/// What kernels can use on this adapter. There is none on DX12, whose shaders cannot be written, and none without f16 and
/// subgroups of a known size.
pub(super) fn of(adapter: &wgpu::Adapter, profile: &Profile) -> Option<Matrix> {
    let backend = adapter.get_info().backend;
    if !profile.cooperative_matrix || !profile.f16 || backend == wgpu::Backend::Dx12 {
        return None;
    }
    let subgroups = profile.subgroups?;
    let edge = edge(&adapter.cooperative_matrix_properties())?;
    // Metal says 4 to 64 of all; those that have matrices run 32 at a time.
    let lanes = if backend == wgpu::Backend::Metal { 32 } else { subgroups.1 };
    Some(Matrix { edge: edge as usize, lanes: lanes as usize })
}

/// The edge of the largest squares with f16 operands and f32 sums.
fn edge(forms: &[wgpu::CooperativeMatrixProperties]) -> Option<u32> {
    use wgpu::CooperativeScalarType::{F16, F32};
    let is = |form: &wgpu::CooperativeMatrixProperties, edge: u32| {
        [form.m_size, form.n_size, form.k_size] == [edge; 3] && (form.ab_type, form.cr_type) == (F16, F32)
    };
    [16, 8].into_iter().find(|edge| forms.iter().any(|form| is(form, *edge)))
}

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
    fn squares_with_f16_operands_and_f32_sums_are_used_the_larger_first() {
        use wgpu::CooperativeScalarType::{F16, F32};
        let form = |m_size, n_size, k_size, ab_type, cr_type| wgpu::CooperativeMatrixProperties {
            m_size,
            n_size,
            k_size,
            ab_type,
            cr_type,
            saturating_accumulation: false,
        };
        let (oblong, small) = (form(16, 8, 16, F16, F32), form(8, 8, 8, F16, F32));
        let (all_half, single) = (form(16, 16, 16, F16, F16), form(8, 8, 8, F32, F32));
        assert_eq!(edge(&[all_half, oblong, small, form(16, 16, 16, F16, F32)]), Some(16));
        assert_eq!(edge(&[single, all_half, small]), Some(8));
        assert_eq!(edge(&[single, all_half, oblong]), None);
        assert_eq!(edge(&[]), None);
    }

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
