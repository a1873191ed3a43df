//! Compiled pipelines kept between runs, where the backend can give them back (Vulkan).
//!
//! A file for each adapter and driver in the user's cache directory. Nothing depends on it: whatever goes wrong is passed
//! over, and shaders are compiled anew. Drivers are known to crash on damaged data, so a checksum of our own stands before it.

use std::path::{Path, PathBuf};

use super::cache_dir::cache_dir;
use crate::files;
use crate::hash::fnv1a;

const MAGIC: &[u8; 8] = b"limbeckP";
const HEADER: usize = 16;
/// No true cache is larger; a file that is, is not read.
const LARGEST: u64 = 1 << 29;

/// The driver's cache and where it is kept.
pub(super) struct Store {
    pub(super) cache: wgpu::PipelineCache,
    path: PathBuf,
    /// Checksum of what was read, or 0.
    found: u64,
}

/// The data in a file's bytes, if it is whole.
fn unpack(bytes: &[u8]) -> Option<&[u8]> {
    let (header, data) = bytes.split_at_checked(HEADER)?;
    let sum = u64::from_le_bytes(header[8..].try_into().ok()?);
    (header.starts_with(MAGIC) && sum == fnv1a(data)).then_some(data)
}

fn pack(data: &[u8]) -> Vec<u8> {
    [MAGIC, &fnv1a(data).to_le_bytes()[..], data].concat()
}

impl Store {
    /// The cache of this device, filled with what an earlier run has left; `None` where the backend has none.
    pub(super) fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Option<Store> {
        Store::open_in(&cache_dir()?.join("pipelines"), device, info)
    }

    fn open_in(folder: &Path, device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Option<Store> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let driver = fnv1a(format!("{} {} {}", info.name, info.driver, info.driver_info).as_bytes());
        let path = folder.join(format!("{}_{driver:016x}", wgpu::util::pipeline_cache_key(info)?));
        let small = std::fs::metadata(&path).is_ok_and(|m| m.len() <= LARGEST);
        let bytes = small.then(|| std::fs::read(&path).ok()).flatten().unwrap_or_default();
        let data = unpack(&bytes);
        let create = |data: Option<&[u8]>| {
            let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
            // SAFETY: `data` is what `get_data` gave for this adapter and driver, as name and checksum of the file say; wgpu
            // checks its own header besides and falls back to an empty cache.
            let cache = unsafe {
                device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
                    label: Some("limbeck"),
                    data,
                    fallback: true,
                })
            };
            pollster::block_on(scope.pop()).is_none().then_some(cache)
        };
        let cache = create(data).or_else(|| create(None))?;
        Some(Store { cache, path, found: data.map_or(0, fnv1a) })
    }

    /// Writes the cache back if it has changed. A cache that cannot be kept only costs time.
    pub(super) fn save(&self) {
        if let Some(data) = self.cache.get_data().filter(|data| fnv1a(data) != self.found) {
            let _ = files::write_atomic(&self.path, &pack(&data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Gpu, Options};

    #[test]
    fn only_whole_files_are_believed() {
        let packed = pack(b"pipelines");
        assert_eq!(unpack(&packed), Some(&b"pipelines"[..]));
        for at in 0..packed.len() {
            let mut torn = packed.clone();
            torn[at] ^= 1;
            assert_eq!(unpack(&torn), None, "byte {at}");
            assert_eq!(unpack(&packed[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn a_store_survives_whatever_lies_in_its_place() {
        let gpu = Gpu::new(Options::default()).unwrap();
        let (device, info) = (&gpu.inner.device, gpu.inner.device.adapter_info());
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open_in(folder.path(), device, &info);
        let Some(store) = open() else {
            assert!(gpu.profile().backend != "vulkan", "Vulkan has a pipeline cache");
            return;
        };
        store.save();
        let good = std::fs::read(&store.path).unwrap();
        assert!(unpack(&good).is_some());
        assert_eq!(open().unwrap().found, fnv1a(unpack(&good).unwrap()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        // Damage that the checksum finds, damage that it does not, another adapter's data, and no file at all.
        let mut foreign = unpack(&good).unwrap().to_vec();
        foreign.iter_mut().skip(8).take(24).for_each(|b| *b ^= 0x5a);
        for bytes in [good[..good.len() / 2].to_vec(), b"<html>".to_vec(), Vec::new(), pack(&[7; 100]), pack(&foreign)]
        {
            std::fs::write(&store.path, bytes).unwrap();
            let reopened = open().unwrap();
            gpu.check("opening a damaged store").unwrap();
            reopened.save();
            assert!(unpack(&std::fs::read(&store.path).unwrap()).is_some());
        }
        std::fs::remove_file(&store.path).unwrap();
        std::fs::create_dir(&store.path).unwrap();
        open().unwrap().save();
        gpu.check("a folder in the way").unwrap();
    }
}
