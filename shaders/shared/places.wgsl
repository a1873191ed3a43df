// Places among the terms of a convolution's product, (channel, column of taps, row of taps), and for its input gradient
// (GRAD = 1) the taps that an input meets. Reads the parameters `p` of the kernel: gap, stride, padding, dilation.

#if GRAD
// The taps along one axis that whole quotients allow: the first, their number, and the place in dy the first leads to.
struct Taps { first: u32, count: u32, shift: i32 }

fn taps(remainder: u32, size: u32) -> Taps {
    for (var k = 0u; k < min(p.gap, size); k++) {
        // Adding a multiple of s keeps the remainder and avoids negative numbers.
        let t = remainder + p.padding + (size * p.stride - k) * p.dilation;
        if t % p.stride == 0u {
            return Taps(k, (size - k + p.gap - 1u) / p.gap, i32(t / p.stride) - i32(size * p.dilation));
        }
    }
    return Taps(0u, 0u, 0);
}
#endif

// A place among the terms, (channel, column of taps, row of taps), moved on: `by` is within the shape, so each carry is at
// most one.
fn onward(place: vec3<u32>, by: vec3<u32>, channels: u32, tw: u32) -> vec3<u32> {
    var at = place + by;
    if at.x >= channels {
        at.x -= channels;
        at.y += 1u;
    }
    if at.y >= tw {
        at.y -= tw;
        at.z += 1u;
    }
    return at;
}
