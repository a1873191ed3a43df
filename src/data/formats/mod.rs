//! Data sets in files: IDX (MNIST and its kin), class folders of PNG and JPEG images, and images with objects in them as COCO,
//! Pascal VOC and YOLO annotate them, with masks drawn from outlines or in files of their own, and images with a table of labels. One
//! file a format; `objects` makes data sets of images with objects.

pub mod coco;
pub mod depth_map;
pub mod folder;
pub mod idx;
pub mod image;
pub mod index_mask;
pub mod labelme;
mod mask_files;
pub mod names;
pub mod objects;
pub mod outline;
pub mod panoptic;
mod parallel;
pub mod segments;
pub mod table;
pub mod voc;
pub mod yolo;

pub(crate) use parallel::in_parallel;

/// A file's text.
fn read_text(path: &std::path::Path) -> crate::Result<String> {
    let bytes = std::fs::read(path).map_err(|e| crate::Error::io(path, "read", e))?;
    String::from_utf8(bytes)
        .map_err(|e| crate::Error::data(path, format!("byte {}", e.utf8_error().valid_up_to()), "is no text in UTF-8"))
}
