//! What a shader says about itself, read by naga, so that bindings, parameters, workgroup size and workgroup memory
//! stand in the WGSL alone.

use super::expr::Defines;
use super::wgsl::{Expanded, Source, preprocess};
use crate::{Error, Result};

/// A storage buffer of an entry point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The variable's name.
    pub name: String,
    /// `@binding(n)`.
    pub index: u32,
    /// `read` rather than `read_write`.
    pub read_only: bool,
}

/// The type of one word of the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordType {
    /// `u32`
    U32,
    /// `i32`
    I32,
    /// `f32`
    F32,
}

/// One member of the uniform parameter struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The member's name.
    pub name: String,
    /// Its offset in bytes.
    pub offset: u32,
    /// Its type.
    pub ty: WordType,
}

/// The interface of one entry point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The storage buffers it uses, by binding index.
    pub bindings: Vec<Binding>,
    /// The uniform block's binding index and members, if it has one.
    pub params: Option<(u32, Vec<Param>)>,
    /// Bytes of the parameter block.
    pub params_size: u32,
    /// `@workgroup_size`.
    pub workgroup_size: [u32; 3],
    /// Bytes of `var<workgroup>`.
    pub workgroup_bytes: u32,
}

/// A parsed and validated permutation of a shader file.
pub struct Module {
    /// naga's form of it.
    pub naga: naga::Module,
    /// naga's findings about it.
    pub info: naga::valid::ModuleInfo,
    /// The text that was parsed.
    pub expanded: Expanded,
    name: &'static str,
}

/// What our shaders may use beyond the base of WGSL.
const CAPABILITIES: naga::valid::Capabilities = naga::valid::Capabilities::SUBGROUP
    .union(naga::valid::Capabilities::SHADER_FLOAT16)
    .union(naga::valid::Capabilities::SHADER_INT64)
    .union(naga::valid::Capabilities::COOPERATIVE_MATRIX);

/// Expands, parses and validates `source`.
pub fn parse(source: Source, defines: &Defines) -> Result<Module> {
    let expanded = preprocess(source, defines)?;
    let fail = |line: usize, message: String| {
        let (file, at) = expanded.origin_of(line);
        let text = expanded.text.lines().nth(line.saturating_sub(1)).unwrap_or("").trim();
        Error::Shader {
            name: format!("{file}.wgsl"),
            line: at,
            message: format!("{message}\n  {text}\n  with {defines:?}"),
        }
    };
    let naga = naga::front::wgsl::parse_str(&expanded.text)
        .map_err(|e| fail(e.location(&expanded.text).map_or(0, |l| l.line_number as usize), e.message().to_string()))?;
    let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), CAPABILITIES).validate(&naga).map_err(
        |e| {
            let line = e.location(&expanded.text).map_or(0, |l| l.line_number as usize);
            fail(line, causes(e.as_inner()))
        },
    )?;
    Ok(Module { naga, info, expanded, name: source.name })
}

/// An error and everything beneath it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

impl Module {
    /// The names of all entry points.
    pub fn entries(&self) -> Vec<String> {
        self.naga.entry_points.iter().map(|e| e.name.clone()).collect()
    }

    /// The interface of `entry`.
    pub fn interface(&self, entry: &str) -> Result<Interface> {
        let fail = |m: String| Error::Shader { name: format!("{}.wgsl", self.name), line: 0, message: m };
        let position = self.naga.entry_points.iter().position(|e| e.name == entry);
        let position =
            position.ok_or_else(|| fail(format!("no entry point `{entry}`; it has {:?}", self.entries())))?;
        let uses = self.info.get_entry_point(position);
        let mut out = Interface {
            bindings: Vec::new(),
            params: None,
            params_size: 0,
            workgroup_size: self.naga.entry_points[position].workgroup_size,
            workgroup_bytes: 0,
        };
        for (handle, var) in self.naga.global_variables.iter() {
            if uses[handle].is_empty() {
                continue;
            }
            let ty = &self.naga.types[var.ty].inner;
            let index = var.binding.map(|b| b.binding);
            match (var.space, index) {
                (naga::AddressSpace::WorkGroup, _) => out.workgroup_bytes += ty.size(self.naga.to_ctx()),
                (naga::AddressSpace::Storage { access }, Some(index)) => out.bindings.push(Binding {
                    name: var.name.clone().unwrap_or_default(),
                    index,
                    read_only: !access.contains(naga::StorageAccess::STORE),
                }),
                (naga::AddressSpace::Uniform, Some(index)) => {
                    out.params_size = ty.size(self.naga.to_ctx());
                    out.params = Some((index, self.members(ty).map_err(fail)?));
                }
                _ => {}
            }
        }
        out.bindings.sort_by_key(|b| b.index);
        Ok(out)
    }

    fn members(&self, ty: &naga::TypeInner) -> Result<Vec<Param>, String> {
        let naga::TypeInner::Struct { members, .. } = ty else {
            return Err("the uniform must be a struct of u32, i32 and f32".into());
        };
        let word = |m: &naga::StructMember| match self.naga.types[m.ty].inner {
            naga::TypeInner::Scalar(naga::Scalar::U32) => Ok(WordType::U32),
            naga::TypeInner::Scalar(naga::Scalar::I32) => Ok(WordType::I32),
            naga::TypeInner::Scalar(naga::Scalar::F32) => Ok(WordType::F32),
            _ => Err(format!("parameter `{}` must be u32, i32 or f32", m.name.as_deref().unwrap_or("?"))),
        };
        let param = |m: &naga::StructMember| {
            Ok(Param { name: m.name.clone().unwrap_or_default(), offset: m.offset, ty: word(m)? })
        };
        members.iter().map(param).collect()
    }
}
