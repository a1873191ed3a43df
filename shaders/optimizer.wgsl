// One step of the optimizer over the whole parameter arena, as torch.optim does it; one invocation: four values.
//
//   sgd    g' = k·g + λ p;  v = μ v + g' (v = g' at the first step);  p -= η (nesterov ? g' + μ v : v)
//   adam   g' = k·g + λ p;  m = β₁ m + (1−β₁) g';  v = β₂ v + (1−β₂) g'²;  p -= η/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)
//   adamw  p -= η λ p first, no λ p in g'
//
// k is the clipping factor that gradient_norm left on the GPU (CLIP = 1), so nothing is read back. What changes from step to
// step is not in the parameters, so that a recorded step can be replayed:
//
//   hyper[0] = η   hyper[1] = 1 at the first step, else 0   hyper[2] = 1−β₁ᵗ   hyper[3] = √(1−β₂ᵗ)
//
// Memory: sgd reads p, g, v and writes p, v; adam one state more.

#import shared/index

#define CLIP 0

struct Sgd { length: u32, nesterov: u32, momentum: f32, weight_decay: f32 }

struct Adam {
    length: u32, decoupled: u32, weight_decay: f32, beta1: f32, beta2: f32, eps: f32,
}

@group(0) @binding(0) var<uniform> s: Sgd;
@group(0) @binding(0) var<uniform> p: Adam;
@group(0) @binding(1) var<storage, read_write> value: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> first_moment: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> second_moment: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> norm: array<f32>;
@group(0) @binding(6) var<storage, read> hyper: array<f32>;

fn gradient(i: u32) -> vec4<f32> {
#if CLIP
    return grad[i] * norm[1];
#else
    return grad[i];
#endif
}

@compute @workgroup_size(64)
fn sgd(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= s.length {
        return;
    }
    let w = value[i];
    let g = fma(w, vec4<f32>(s.weight_decay), gradient(i));
    var v = g;
    if hyper[1] == 0.0 {
        v = fma(first_moment[i], vec4<f32>(s.momentum), g);
    }
    first_moment[i] = v;
    let d = select(v, fma(v, vec4<f32>(s.momentum), g), s.nesterov != 0u);
    value[i] = fma(d, vec4<f32>(-hyper[0]), w);
}

@compute @workgroup_size(64)
fn adam(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.length {
        return;
    }
    var w = value[i];
    var g = gradient(i);
    if p.decoupled != 0u {
        w -= hyper[0] * p.weight_decay * w;
    } else {
        g = fma(w, vec4<f32>(p.weight_decay), g);
    }
    var m = g * (1.0 - p.beta1);
    var v = g * g * (1.0 - p.beta2);
    if hyper[1] == 0.0 {
        m += p.beta1 * first_moment[i];
        v += p.beta2 * second_moment[i];
    }
    first_moment[i] = m;
    second_moment[i] = v;
    value[i] = w - (hyper[0] / hyper[2]) * m / (sqrt(v) / hyper[3] + p.eps);
}
