// Package inventory is the list of what a site has, which a site without network
// sends back so that it need not be sent again: full as JSON, or as text that is
// short enough to be typed over or printed as QR codes (docs/inventory.md).
//
// An inventory is advice, and proves nothing: whoever loads an archive checks for
// himself that what it relies on is there. So the text may name a blob by the
// beginning of its digest: when two blobs begin alike, one too many is left out
// of an archive, and the archive is refused where that blob is missing. No blob
// ever takes the place of another, since loading compares whole digests.
package inventory
