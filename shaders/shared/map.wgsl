// Where value `id` of a map [n, h, w, c] is: (image, row, column, channel).
fn map_place(id: u32, h: u32, w: u32, c: u32) -> vec4<u32> {
    let pixel = id / c;
    let row = pixel / w;
    return vec4<u32>(row / h, row % h, pixel % w, id % c);
}

// The other way.
fn map_index(place: vec4<u32>, h: u32, w: u32, c: u32) -> u32 {
    return ((place.x * h + place.y) * w + place.z) * c + place.w;
}
