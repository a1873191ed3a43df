//! Data sets in files: IDX (MNIST and its kin) and class folders of PNG and JPEG images. One file a format.

pub mod coco;
pub mod folder;
pub mod idx;
pub mod image;
pub mod objects;
pub mod outline;
