//! Data sets in files: IDX (MNIST and its kin), class folders of PNG and JPEG images, and images with objects in them as COCO,
//! Pascal VOC and YOLO annotate them, with masks drawn from outlines or in files of their own, and images with a table of labels. One
//! file a format; `objects` makes data sets of images with objects.

pub mod coco;
pub mod depth_map;
pub mod find;
pub mod folder;
pub mod idx;
pub mod image;
pub mod index_mask;
mod json;
pub mod labelme;
mod listing;
mod mask_files;
pub mod mask_pairs;
pub mod members;
pub mod names;
mod npy;
pub mod objects;
mod on_error;
pub mod outline;
pub mod panoptic;
mod parallel;
pub mod segments;
pub mod table;
pub(crate) mod text;
mod value;
pub mod voc;
mod yaml;
pub mod yolo;
pub mod yolo_sets;

pub(crate) use parallel::in_parallel;
