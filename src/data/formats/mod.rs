//! Data sets in files: IDX (MNIST and its kin), class folders of PNG and JPEG images, and images with objects in them as COCO and
//! Pascal VOC annotate them. One file a format; `objects` makes data sets of the latter.

pub mod coco;
pub mod folder;
pub mod idx;
pub mod image;
pub mod objects;
pub mod outline;
pub mod voc;
