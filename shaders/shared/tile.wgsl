// The workgroup memory of a tiled product C = A · B: BK terms of BM rows and of BN columns at a time.
//
// An operand whose terms lie side by side in memory (A_TERMS, B_TERMS = 1) is kept as it comes: a line for each row of A or
// column of B, BK / 4 vec4s of terms. Where the rows or columns lie side by side, a line for each term holds them as vec4s.
// Either way a fetched vec4 is stored whole, and (TM + TN) / 4 vec4s are read back for TM · TN multiply-adds. A line is
// padded by one vec4, so that lanes in neighbouring lines meet different banks.
//
// WIDTH invocations, ACROSS of them along the columns, own TM x TN sums each: vec4s over the columns 4 · (tx + j · ACROSS)
// + 0…3, of the rows ty + r · LINES (A_TERMS = 1) or 4 · (ty + i · LINES) + 0…3. For B_TERMS = 1 column c lies in line
// (c mod 4) · BN / 4 + c / 4: neighbouring lanes read neighbouring lines.

#define LINES BM / TM
#define ACROSS BN / TN
#define WIDTH LINES * ACROSS
#if A_TERMS
#define PITCH_A BK / 4 + 1
#define B_START BM * PITCH_A
#else
#define PITCH_A BM / 4 + 1
#define B_START BK * PITCH_A
#endif
#if B_TERMS
#define PITCH_B BK / 4 + 1
#define TILE_SIZE B_START + BN * PITCH_B
#else
#define PITCH_B BN / 4 + 1
#define TILE_SIZE B_START + BK * PITCH_B
#endif

var<workgroup> tile: array<vec4<f32>, ${TILE_SIZE}>;
