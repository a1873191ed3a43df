//! Networks: layers, residual trunks, task heads, initialisation, and the frozen form teachers and deployed students
//! take.

pub mod arch;
pub mod boxes;
mod context;
mod decoder;
mod detector;
mod head;
pub mod init;
mod layers;
mod maps;
mod network;
mod pyramid;
mod resnet;
mod trunk;

pub use arch::ArchSpec;
pub use context::{Context, Mode};
pub use head::{HeadKind, HeadSpec, detector_stages};
pub use init::{Init, Initializer};
pub use layers::{ConvNorm, Folded, FrozenLinear, Linear};
pub use maps::{HeadMaps, HeadOutputs};
pub use network::{Frozen, Network, NetworkSpec, Outputs};
pub use resnet::{Features, ResNet};
pub use trunk::{StageSpec, Stem, TrunkSpec};
