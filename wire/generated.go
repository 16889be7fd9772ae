package wire

// GeneratedForV1 ties generated packages to this runtime: each names it in a constant, so that code made
// for another contract does not compile. A change of the contract renames it.
const GeneratedForV1 = true
