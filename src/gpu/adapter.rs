//! Choosing an adapter, and what is worth knowing about it.

use super::expr::Defines;
use crate::{Error, Result, defines};

/// What kind of machine the kernels are tuned for; the key of every variant rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdapterClass {
    /// A discrete GPU with cooperative matrices.
    DiscreteMatrix,
    /// A discrete GPU without.
    Discrete,
    /// Apple's GPUs.
    Apple,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A processor that plays a GPU (lavapipe, WARP).
    Software,
}

/// What a device can do without: kernels have another form for adapters that have none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// 64-bit integers in shaders.
    Int64,
    /// Operations across the lanes of a subgroup.
    Subgroups,
}

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

/// The adapter's limits and features, in one place.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The adapter's name, as the driver gives it.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver and version.
    pub driver: String,
    /// The kind of machine.
    pub class: AdapterClass,
    /// Largest buffer, bytes.
    pub max_buffer: u64,
    /// Largest storage binding, bytes.
    pub max_binding: u64,
    /// Storage buffers a stage.
    pub max_storage_buffers: u32,
    /// Workgroup memory, bytes.
    pub max_workgroup_bytes: u32,
    /// Invocations of a workgroup.
    pub max_invocations: u32,
    /// Groups a dimension.
    pub max_groups: u32,
    /// Smallest and largest subgroup; `None` without subgroup operations.
    pub subgroups: Option<(u32, u32)>,
    /// 64-bit integers in shaders.
    pub int64: bool,
    /// Half-precision arithmetic.
    pub f16: bool,
    /// Cooperative matrices, in some form.
    pub cooperative_matrix: bool,
    /// Those that a device has open; `None` unless [`Options::matrices`](super::Options::matrices) asked for them, the adapter
    /// has a form that kernels use, and its self-test passed.
    pub matrix: Option<Matrix>,
    /// GPU timestamps.
    pub timestamps: bool,
}

impl Profile {
    /// Reads what an adapter says of itself.
    pub(super) fn of(adapter: &wgpu::Adapter) -> Self {
        let (info, features, limits) = (adapter.get_info(), adapter.features(), adapter.limits());
        let cooperative_matrix = features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
        let class = match info.device_type {
            wgpu::DeviceType::Cpu => AdapterClass::Software,
            _ if info.backend == wgpu::Backend::Metal => AdapterClass::Apple,
            wgpu::DeviceType::IntegratedGpu => AdapterClass::Integrated,
            _ if cooperative_matrix => AdapterClass::DiscreteMatrix,
            _ => AdapterClass::Discrete,
        };
        let subgroups = features.contains(wgpu::Features::SUBGROUP);
        Profile {
            name: info.name.clone(),
            backend: info.backend.to_str().to_string(),
            driver: [info.driver, info.driver_info].join(" ").trim().to_string(),
            class,
            max_buffer: limits.max_buffer_size,
            max_binding: limits.max_storage_buffer_binding_size,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
            max_invocations: limits.max_compute_invocations_per_workgroup,
            max_groups: limits.max_compute_workgroups_per_dimension,
            subgroups: subgroups.then_some((info.subgroup_min_size, info.subgroup_max_size)),
            int64: features.contains(wgpu::Features::SHADER_INT64),
            f16: features.contains(wgpu::Features::SHADER_F16),
            cooperative_matrix,
            matrix: None,
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        }
    }

    /// Forgets a feature that the device is opened without.
    pub(super) fn leave_out(&mut self, feature: Feature) {
        match feature {
            Feature::Int64 => self.int64 = false,
            Feature::Subgroups => self.subgroups = None,
        }
    }

    /// Floating-point operations after which a submission is closed, so that none runs into a driver's watchdog
    /// (two seconds on Windows). Software adapters have no watchdog, and a second submission waits for the first there, so
    /// that a step is best left in one; a bound keeps Ctrl-C in hand.
    pub fn submit_budget(&self) -> u64 {
        match self.class {
            AdapterClass::DiscreteMatrix | AdapterClass::Discrete => 1_000_000_000_000,
            AdapterClass::Apple | AdapterClass::Integrated => 200_000_000_000,
            AdapterClass::Software => 500_000_000_000,
        }
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.backend, self.driver)
    }
}

/// What kernels can use on this adapter. There is none on DX12, whose shaders cannot be written, and none without f16 and
/// subgroups of a known size.
pub(super) fn matrices(adapter: &wgpu::Adapter, profile: &Profile) -> Option<Matrix> {
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

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends &= wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    wgpu::Instance::new(descriptor)
}

/// Real GPUs first, the largest kind first; software last. Ties keep the order of the system.
fn rank(profile: &Profile) -> u32 {
    match profile.class {
        AdapterClass::DiscreteMatrix | AdapterClass::Discrete | AdapterClass::Apple => 0,
        AdapterClass::Integrated => 1,
        AdapterClass::Software => 2,
    }
}

fn usable() -> Vec<(wgpu::Adapter, Profile)> {
    let adapters = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::all()));
    let computes =
        |a: &wgpu::Adapter| a.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
    let mut list: Vec<_> =
        adapters.into_iter().filter(computes).map(|a| (Profile::of(&a), a)).map(|(p, a)| (a, p)).collect();
    list.sort_by_key(|(_, profile)| rank(profile));
    list
}

/// Every usable adapter, the one that would be chosen first.
pub fn devices() -> Vec<Profile> {
    usable().into_iter().map(|(_, profile)| profile).collect()
}

/// The best adapter, or the one `name` (a part of its name, in any case) asks for.
pub(super) fn choose(name: Option<&str>) -> Result<(wgpu::Adapter, Profile)> {
    let list = usable();
    let seen: Vec<String> = list.iter().map(|(_, p)| p.name.clone()).collect();
    let backend = std::env::var("WGPU_BACKEND").ok();
    let tried = match &backend {
        Some(backend) => format!("WGPU_BACKEND={backend}"),
        None => "asked Vulkan, Metal and DX12".to_string(),
    };
    let wanted = name.map(str::to_lowercase);
    let fits = |p: &Profile| wanted.as_ref().is_none_or(|w| p.name.to_lowercase().contains(w));
    let found = list.into_iter().find(|(_, p)| fits(p));
    found.ok_or_else(|| match wanted {
        Some(wanted) if !seen.is_empty() => Error::NoAdapter {
            tried: format!("none is called `{wanted}`"),
            hint: format!("Set WGPU_ADAPTER_NAME to a part of one of: {}", seen.join(", ")),
        },
        _ => Error::NoAdapter { tried, hint: install_hint(backend.is_some()).to_string() },
    })
}

fn install_hint(backend_set: bool) -> &'static str {
    if backend_set {
        "Unset WGPU_BACKEND, or set it to a backend this machine has (vulkan, metal, dx12)"
    } else if cfg!(target_os = "linux") {
        "Install your GPU's Vulkan driver, or Mesa's software driver: \
         `apt install mesa-vulkan-drivers` (Debian, Ubuntu), `dnf install mesa-vulkan-drivers` (Fedora), \
         `pacman -S vulkan-swrast` (Arch)"
    } else if cfg!(target_os = "windows") {
        "Update the GPU's driver; Windows 10 and later also bring WARP, a software adapter, with DirectX 12"
    } else {
        "This machine's GPU must support Metal"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
