//! Golden values: inputs, outputs and gradients computed by PyTorch in f64, stored as f32 (`tests/goldens/`).
//!
//! One safetensors file per group; `<group>.json`, or else `manifest.json`, lists its cases with their attributes. A tensor is named
//! `<case>.<kind>.<name>`, kind one of `input`, `output`, `cotangent`, `grad`. A gradient is that of
//! `sum(output * cotangent)` over all outputs, or of the loss where the case's output is one.
//! Layouts are PyTorch's: NCHW, OIHW, `[out, in]`.
//!
//! `LIMBECK_GOLDENS=DIR` reads another folder of the same form. Everything here panics with a clear word when something
//! is missing: a test that cannot read its goldens must fail.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::{fs, path::PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Where the goldens are.
pub fn folder() -> PathBuf {
    match std::env::var_os("LIMBECK_GOLDENS") {
        Some(folder) => folder.into(),
        None => [env!("CARGO_MANIFEST_DIR"), "tests", "goldens"].iter().collect(),
    }
}

fn read(file: &str) -> Vec<u8> {
    let path = folder().join(file);
    fs::read(&path).unwrap_or_else(|e| panic!("cannot read the goldens {}: {e}", path.display()))
}

/// A tensor as stored, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<T> {
    pub shape: Vec<usize>,
    pub data: Vec<T>,
}

impl<T: Copy> Tensor<T> {
    /// NCHW to NHWC, and OIHW to OHWI.
    pub fn nhwc(&self) -> Self {
        self.second_axis_last()
    }

    /// `[a, b, rest]` to `[a, rest, b]`; tensors of fewer than three axes stay as they are.
    fn second_axis_last(&self) -> Self {
        let &[a, b, ref rest @ ..] = self.shape.as_slice() else { return self.clone() };
        if rest.is_empty() {
            return self.clone();
        }
        let inner: usize = rest.iter().product();
        let mut data = Vec::with_capacity(self.data.len());
        for i in 0..a {
            for k in 0..inner {
                data.extend((0..b).map(|j| self.data[(i * b + j) * inner + k]));
            }
        }
        let shape = [a].into_iter().chain(rest.iter().copied()).chain([b]).collect();
        Tensor { shape, data }
    }
}

impl Tensor<f32> {
    /// The values as f64, for the references.
    pub fn f64(&self) -> Vec<f64> {
        self.data.iter().map(|&v| f64::from(v)).collect()
    }
}

/// One golden file with its part of the manifest.
pub struct Group {
    name: String,
    manifest: Value,
    floats: HashMap<String, Tensor<f32>>,
    ints: HashMap<String, Tensor<i64>>,
    /// The largest relative error of every tensor that has been compared, by its full name.
    compared: RefCell<BTreeMap<String, f64>>,
}

/// Whether a case is named `<kind>`, `<kind><number>` or `<kind><number>_T<temperature>`.
fn is_kind(case: &str, kind: &str) -> bool {
    case.strip_prefix(kind).is_some_and(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.is_empty() || rest.starts_with("_T")
    })
}

/// The names a manifest's list stands for: `p0..4` is short for `p0`, `p1`, `p2`, `p3`, `p4`.
fn expand(list: &Value) -> Vec<String> {
    let names = list.as_array().expect("the manifest has no list").iter().map(|n| n.as_str().expect("not a name"));
    let mut all = Vec::new();
    for name in names {
        let Some((first, last)) = name.split_once("..") else {
            all.push(name.to_string());
            continue;
        };
        let stem = first.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = |text: &str| text.parse::<usize>().unwrap_or_else(|_| panic!("{name} is no range"));
        all.extend((number(&first[stem.len()..])..=number(last)).map(|i| format!("{stem}{i}")));
    }
    all
}

/// The names of all groups, sorted: every file of tensors.
pub fn groups() -> Vec<String> {
    let names = fs::read_dir(folder()).expect("the goldens cannot be listed").flatten();
    let name = |e: fs::DirEntry| e.file_name().to_str()?.strip_suffix(".safetensors").map(String::from);
    let mut names: Vec<String> = names.filter_map(name).collect();
    names.sort_unstable();
    names
}

impl Group {
    /// Reads `<name>.safetensors` and the manifest.
    pub fn load(name: &str) -> Group {
        let own = format!("{name}.json");
        let manifest: Value = if folder().join(&own).exists() {
            serde_json::from_slice(&read(&own)).unwrap_or_else(|e| panic!("{own}: {e}"))
        } else {
            let all: Value = serde_json::from_slice(&read("manifest.json")).expect("manifest.json is not JSON");
            all["groups"][name].clone()
        };
        assert!(manifest.is_object(), "manifest.json has no group {name}");
        let bytes = read(&format!("{name}.safetensors"));
        let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{name}.safetensors: {e}"));
        let (mut floats, mut ints) = (HashMap::new(), HashMap::new());
        for (key, view) in file.tensors() {
            let shape = view.shape().to_vec();
            match view.dtype() {
                Dtype::F32 => {
                    let data = view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
                    floats.insert(key, Tensor { shape, data });
                }
                Dtype::I64 => {
                    let data = view.data().as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect();
                    ints.insert(key, Tensor { shape, data });
                }
                other => panic!("{name}.safetensors: {key} is {other:?}, expected F32 or I64"),
            }
        }
        Group { name: name.into(), manifest, floats, ints, compared: RefCell::default() }
    }

    /// The cases named `<kind>`, `<kind><number>` or `<kind><number>_T<temperature>`, in the manifest's order;
    /// at least one.
    pub fn cases(&self, kind: &str) -> Vec<Case<'_>> {
        let names = self.manifest.as_object().into_iter().flat_map(|cases| cases.keys());
        let cases: Vec<_> =
            names.filter(|name| is_kind(name, kind)).map(|name| Case { group: self, name: name.clone() }).collect();
        assert!(!cases.is_empty(), "group {} has no case {kind}", self.name);
        cases
    }

    /// A float tensor by its full name, where there is one.
    pub fn find(&self, key: &str) -> Option<&Tensor<f32>> {
        self.floats.get(key)
    }

    /// A float tensor by its full name.
    pub fn floats(&self, key: &str) -> &Tensor<f32> {
        self.find(key).unwrap_or_else(|| panic!("{}.safetensors has no float tensor {key}", self.name))
    }

    /// An integer tensor by its full name.
    pub fn ints(&self, key: &str) -> &Tensor<i64> {
        self.ints.get(key).unwrap_or_else(|| panic!("{}.safetensors has no integer tensor {key}", self.name))
    }

    /// A tensor of class labels by its full name.
    pub fn labels(&self, key: &str) -> Vec<u32> {
        self.ints(key).data.iter().map(|&v| u32::try_from(v).expect("a label is not a class")).collect()
    }

    /// Compares `got` (NHWC or OHWI where it has four axes) with the float tensor of that full name.
    #[track_caller]
    pub fn check(&self, key: &str, got: impl IntoIterator<Item = impl Into<f64>>, tolerance: f64) {
        let error = relative_error(got, self.floats(key).nhwc().data);
        let mut compared = self.compared.borrow_mut();
        let worst = compared.entry(key.into()).or_insert(error);
        *worst = worst.max(error);
        assert!(error <= tolerance, "{} {key}: relative error {error:.3e}, allowed {tolerance:.0e}", self.name);
    }

    /// Fails where [`Group::check`] has not seen one of the `expected` tensors, and says how wrong the worst one was.
    #[track_caller]
    pub fn assert_compared(&self, expected: &[String]) {
        let compared = self.compared.borrow();
        assert!(!expected.is_empty(), "{}: nothing to compare", self.name);
        let missed: Vec<_> = expected.iter().filter(|key| !compared.contains_key(*key)).collect();
        assert!(missed.is_empty(), "{}: never compared: {missed:?}", self.name);
        assert_eq!(expected.len(), compared.len(), "{}: compared more than was expected", self.name);
        let worst = compared.iter().max_by(|a, b| a.1.total_cmp(b.1));
        let (key, error) = worst.expect("nothing was compared");
        eprintln!("{}: {} tensors agree, the worst is {key} with {error:.1e}", self.name, expected.len());
    }

    /// Fails unless every output and every gradient of every case in the manifest has been compared.
    #[track_caller]
    pub fn assert_complete(&self) {
        let cases = self.manifest.as_object().expect("a group is not an object");
        let mut expected = Vec::new();
        for (case, lists) in cases {
            let before = expected.len();
            for (list, kind) in [("outputs", "output"), ("grads", "grad")] {
                expected.extend(expand(&lists[list]).iter().map(|name| format!("{case}.{kind}.{name}")));
            }
            assert!(expected.len() > before, "{}: {case} has nothing to compare", self.name);
        }
        assert!(!cases.is_empty(), "{}: there is no case", self.name);
        self.assert_compared(&expected);
    }

    /// The names of all float tensors, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.floats.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// One case of a group.
pub struct Case<'a> {
    group: &'a Group,
    pub name: String,
}

impl Case<'_> {
    fn attribute(&self, name: &str) -> &Value {
        let value = &self.group.manifest[&self.name]["attrs"][name];
        assert!(!value.is_null(), "{} has no attribute {name}", self.name);
        value
    }

    /// A number among the attributes.
    pub fn number(&self, name: &str) -> f64 {
        self.attribute(name).as_f64().unwrap_or_else(|| panic!("{}: {name} is not a number", self.name))
    }

    /// A whole number among the attributes.
    pub fn integer(&self, name: &str) -> usize {
        let value = self.attribute(name).as_u64();
        value.unwrap_or_else(|| panic!("{}: {name} is not a whole number", self.name)) as usize
    }

    /// A pair of numbers among the attributes.
    pub fn pair(&self, name: &str) -> (f64, f64) {
        let value = self.attribute(name);
        match (value[0].as_f64(), value[1].as_f64()) {
            (Some(a), Some(b)) => (a, b),
            _ => panic!("{}: {name} is not a pair of numbers", self.name),
        }
    }

    /// A float tensor, by `<kind>.<name>`, where the case has it.
    pub fn find(&self, what: &str) -> Option<&Tensor<f32>> {
        self.group.find(&format!("{}.{what}", self.name))
    }

    /// A float tensor, by `<kind>.<name>`, such as `grad.x`.
    pub fn floats(&self, what: &str) -> &Tensor<f32> {
        self.group.floats(&format!("{}.{what}", self.name))
    }

    /// A tensor of class labels, by `<kind>.<name>`.
    pub fn labels(&self, what: &str) -> Vec<u32> {
        self.group.labels(&format!("{}.{what}", self.name))
    }

    /// Compares `got` (NHWC or OHWI where it has four axes) with a float tensor, by `<kind>.<name>`.
    #[track_caller]
    pub fn check(&self, what: &str, got: impl IntoIterator<Item = impl Into<f64>>, tolerance: f64) {
        self.group.check(&format!("{}.{what}", self.name), got, tolerance);
    }
}

/// `||a - b|| / ||b||`, or `||a||` where b is 0. A NaN or a difference in length is infinitely wrong.
pub fn relative_error(a: impl IntoIterator<Item = impl Into<f64>>, b: impl IntoIterator<Item = impl Into<f64>>) -> f64 {
    let (a, b): (Vec<f64>, Vec<f64>) =
        (a.into_iter().map(Into::into).collect(), b.into_iter().map(Into::into).collect());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    let (off, size) = (norm(&mut a.iter().zip(&b).map(|(a, b)| a - b)), norm(&mut b.iter().copied()));
    let error = if size > 0.0 { off / size } else { off };
    if a.len() != b.len() || error.is_nan() { f64::INFINITY } else { error }
}
