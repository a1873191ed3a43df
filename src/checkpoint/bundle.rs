//! Tensors and a text in one safetensors file, with PyTorch's names and layouts.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::seal;
use crate::files::write_atomic;
use crate::gpu::Gpu;
use crate::nn::Network;
use crate::params::Named;
use crate::{Error, Result};

/// The key of the text in the file's header.
const KEY: &str = "limbeck";

/// `[o, h, w, i]` as PyTorch's `[o, i, h, w]`; other ranks as they are.
fn to_torch(named: &Named) -> (Vec<usize>, Vec<f32>) {
    let &[o, h, w, i] = &named.shape[..] else { return (named.shape.clone(), named.data.clone()) };
    let mut out = Vec::with_capacity(named.data.len());
    for a in 0..o {
        for b in 0..i {
            out.extend((0..h * w).map(|k| named.data[(a * h * w + k) * i + b]));
        }
    }
    (vec![o, i, h, w], out)
}

/// The inverse of [`to_torch`], for data that has the shape PyTorch gives it.
fn from_torch(shape: &[usize], data: Vec<f32>) -> Vec<f32> {
    let &[o, h, w, i] = shape else { return data };
    let mut out = Vec::with_capacity(data.len());
    for a in 0..o {
        for k in 0..h * w {
            out.extend((0..i).map(|b| data[(a * i + b) * h * w + k]));
        }
    }
    out
}

/// Tensors and one text, ready to be written.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl Bundle {
    pub(crate) fn add(&mut self, name: impl Into<String>, shape: Vec<usize>, data: &[f32]) {
        self.tensors.push((name.into(), shape, bytemuck::cast_slice(data).to_vec()));
    }

    /// Every parameter and statistic of a network, by PyTorch's names and in its layouts.
    pub(crate) fn add_network(&mut self, gpu: &Gpu, network: &Network) -> Result<()> {
        for named in network.params().export(gpu)? {
            // A weight that is no number would poison every later resumption.
            if let Some(value) = named.data.iter().find(|v| !v.is_finite()) {
                let what = format!("the parameter {}", named.name);
                return Err(Error::NonFinite { what, value: *value, at: "the moment it was to be stored".into() });
            }
            let (shape, data) = to_torch(&named);
            self.add(named.name, shape, &data);
        }
        Ok(())
    }

    /// Writes the file under a temporary name and renames it; `text` is a JSON object, to which the hash of everything is added.
    pub(crate) fn write(&self, path: &Path, text: &str) -> Result<()> {
        let fail = |e: &dyn std::fmt::Display| Error::checkpoint(path, format!("cannot be written: {e}"));
        let views = self.tensors.iter().map(|(name, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| fail(&e))?))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let digest =
            seal::digest(self.tensors.iter().map(|(n, shape, bytes)| (&n[..], &shape[..], &bytes[..])).collect());
        let metadata = HashMap::from([(KEY.to_string(), seal::seal(text, digest))]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| fail(&e))?;
        write_atomic(path, &bytes)
    }
}

/// A file of [`Bundle::write`] in memory.
pub(crate) struct Stored<'a> {
    tensors: SafeTensors<'a>,
    path: &'a Path,
}

impl<'a> Stored<'a> {
    /// The tensors and the text.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a file that is none of these, and for one that has changed since it was written.
    pub(crate) fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<(Self, String)> {
        let fail = |e: safetensors::SafeTensorError| {
            Error::checkpoint(path, format!("is no intact safetensors file ({e:?}); delete it to start over"))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(fail)?;
        let text = header.metadata().as_ref().and_then(|m| m.get(KEY)).cloned();
        let text = text.ok_or_else(|| Error::checkpoint(path, "was not written by limbeck: its header has no card"))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(fail)?;
        let all = tensors.iter().collect::<Vec<_>>();
        let digest = seal::digest(all.iter().map(|(name, view)| (*name, view.shape(), view.data())).collect());
        let text = seal::unseal(path, &text, digest)?;
        Ok((Stored { tensors, path }, text))
    }

    /// How many values all tensors have together.
    pub(crate) fn values(&self) -> u64 {
        self.tensors.iter().map(|(_, view)| view.shape().iter().product::<usize>() as u64).sum()
    }

    /// The values called `name`; half precision becomes single.
    pub(crate) fn get(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let missing =
            |_| Error::checkpoint(self.path, format!("has no tensor {name:?}; it belongs to another network"));
        let view = self.tensors.tensor(name).map_err(missing)?;
        let data = match view.dtype() {
            Dtype::F32 => bytemuck::pod_collect_to_vec(view.data()),
            Dtype::F16 => widen(bytemuck::pod_collect_to_vec::<u8, half::f16>(view.data()), half::f16::to_f32),
            Dtype::BF16 => widen(bytemuck::pod_collect_to_vec::<u8, half::bf16>(view.data()), half::bf16::to_f32),
            other => {
                let message = format!("{name:?} is {other:?}; expected F32, F16 or BF16");
                return Err(Error::checkpoint(self.path, message));
            }
        };
        Ok((view.shape().to_vec(), data))
    }

    /// The same of weights: one that is no number poisons all that is computed with it. (An optimizer's moment may overflow and do no harm.)
    pub(crate) fn finite(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let (shape, data) = self.get(name)?;
        match data.iter().find(|v| !v.is_finite()) {
            Some(value) => {
                let message = format!("is damaged: {name:?} holds {value}; restore a copy, or delete it to start over");
                Err(Error::checkpoint(self.path, message))
            }
            None => Ok((shape, data)),
        }
    }

    /// Sets every parameter and statistic of `network`.
    pub(crate) fn restore(&self, gpu: &Gpu, network: &Network) -> Result<()> {
        network.params().import(gpu, |name, shape| {
            let (found, data) = self.finite(name)?;
            let want = match shape {
                &[o, h, w, i] => vec![o, i, h, w],
                other => other.to_vec(),
            };
            if found != want {
                return Err(Error::checkpoint(self.path, format!("{name:?} is {found:?}, expected {want:?}")));
            }
            Ok(from_torch(shape, data))
        })
    }
}

fn widen<T>(values: Vec<T>, to_f32: impl Fn(T) -> f32) -> Vec<f32> {
    values.into_iter().map(to_f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_inverse() {
        let shape = vec![3, 2, 5, 4];
        let data: Vec<f32> = (0..120).map(|v| v as f32).collect();
        let (torch, moved) = to_torch(&Named { name: "w".into(), shape: shape.clone(), data: data.clone() });
        assert_eq!(torch, [3, 4, 2, 5]);
        // w[o=1, h=1, w=2, i=3] stands at [1, 3, 1, 2].
        assert_eq!(moved[((4 + 3) * 2 + 1) * 5 + 2], data[((2 + 1) * 5 + 2) * 4 + 3]);
        assert_eq!(from_torch(&shape, moved), data);
    }
}
