//! Data sets in files: IDX (MNIST and its kin), class folders of PNG and JPEG images, and images with objects in them as COCO,
//! Pascal VOC and YOLO annotate them, with masks drawn from outlines or in files of their own, and images with a table of labels. One
//! file a format; `objects` makes data sets of images with objects.

pub mod coco;
pub mod folder;
pub mod idx;
pub mod image;
pub mod index_mask;
pub mod names;
pub mod objects;
pub mod outline;
pub mod panoptic;
pub mod table;
pub mod voc;
pub mod yolo;
