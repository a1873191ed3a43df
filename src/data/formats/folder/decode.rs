//! From image files to pixels, on all cores.

use super::super::image;
use super::{Listed, Options};
use crate::data::{Images, Labels, Skipped, Split, seed, split};
use crate::{Error, Result};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Decodes so many of the files, or all of them. Where one cannot be read, another takes its place.
pub(super) fn decode_some(
    listing: &[Listed],
    limit: Option<usize>,
    seed: u64,
    required: &[String],
    options: &Options,
    skipped: &mut Vec<Skipped>,
) -> Result<Split> {
    let Some(limit) = limit else { return decode_all(listing, required, options, skipped) };
    let strata: Vec<u32> = listing.iter().map(|one| one.label).collect();
    let gather = |indices: &[u32]| indices.iter().map(|i| listing[*i as usize].clone()).collect::<Vec<_>>();
    let chosen = split::choose(&strata, limit, seed);
    let mut decoded = decode_all(&gather(&chosen), required, options, skipped)?;
    let mut left: Vec<u32> = (0..listing.len() as u32).filter(|i| chosen.binary_search(i).is_err()).collect();
    for round in 1.. {
        let lacking = limit.saturating_sub(decoded.len());
        if lacking == 0 || left.is_empty() {
            break;
        }
        let labels: Vec<u32> = left.iter().map(|i| strata[*i as usize]).collect();
        let places = split::choose(&labels, lacking, seed::derive_n(seed, round));
        let more: Vec<u32> = places.iter().map(|place| left[*place as usize]).collect();
        left.retain(|i| more.binary_search(i).is_err());
        let more = decode_all(&gather(&more), &[], options, skipped)?;
        decoded.images.pixels.extend(more.images.pixels);
        decoded.images.count += more.images.count;
        decoded.files.extend(more.files);
        for (labels, more) in decoded.labels.iter_mut().zip(more.labels) {
            labels.extend(more)?;
        }
    }
    Ok(decoded)
}

/// Decodes the files on all cores. Those that fail go to `skipped`, and the images behind them close up. Each class of
/// `required` that has files must keep at least one.
fn decode_all(listing: &[Listed], required: &[String], options: &Options, skipped: &mut Vec<Skipped>) -> Result<Split> {
    // Small enough to share out evenly, large enough that nobody waits at the lock.
    const CHUNK: usize = 32;
    let mut images = Images::black(listing.len(), options.size, options.channels)?;
    let len = images.image_len();
    if len == 0 {
        return Err(Error::Invalid("data.size: both sides and the channels must be above 0".into()));
    }
    let mut reasons: Vec<Option<String>> = vec![None; listing.len()];
    let jobs = images.pixels.chunks_mut(CHUNK * len).zip(listing.chunks(CHUNK)).zip(reasons.chunks_mut(CHUNK));
    let jobs = Mutex::new(jobs);
    let worker = || {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(((pixels, listed), reasons)) = job else { break };
            for ((out, one), reason) in pixels.chunks_exact_mut(len).zip(listed).zip(reasons) {
                match image::read(&one.file, options.size, options.channels, options.max_pixels) {
                    Ok(bytes) => out.copy_from_slice(&bytes),
                    Err(Error::Data { message, .. }) => *reason = Some(message),
                    Err(error) => *reason = Some(error.to_string()),
                }
            }
        }
    };
    let helpers = thread::available_parallelism().map_or(1, |n| n.get()) - 1;
    thread::scope(|scope| {
        for _ in 0..helpers {
            // A refused thread only makes it slower: this one works as well.
            let _ = thread::Builder::new().spawn_scoped(scope, worker);
        }
        worker();
    });
    check_classes(listing, &reasons, required)?;
    let (mut labels, mut files) = (Vec::with_capacity(listing.len()), Vec::new());
    for (i, (one, reason)) in listing.iter().zip(reasons).enumerate() {
        match reason {
            Some(reason) => skipped.push(Skipped::left_out(&one.file, reason)),
            None => {
                images.pixels.copy_within(i * len..(i + 1) * len, labels.len() * len);
                labels.push(one.label);
                files.push(one.file.clone());
            }
        }
    }
    images.pixels.truncate(labels.len() * len);
    images.count = labels.len();
    Ok(Split { images, labels: vec![Labels::Class(labels)], files, originals: None })
}

/// A class of which nothing could be read would be learnt or measured as nothing, in silence.
fn check_classes(listing: &[Listed], reasons: &[Option<String>], classes: &[String]) -> Result<()> {
    for (label, class) in classes.iter().enumerate() {
        let of_class = || (0..reasons.len()).filter(|&i| listing[i].label as usize == label);
        let (tried, failed) = (of_class().count(), of_class().filter(|&i| reasons[i].is_some()).count());
        if let Some(first) = of_class().next().filter(|_| tried == failed) {
            let reason = reasons[first].as_deref().unwrap_or_default();
            let message = format!("none of the {tried} image(s) of class {class:?} could be read; this one: {reason}");
            return Err(Error::data(&listing[first].file, "", message));
        }
    }
    Ok(())
}
