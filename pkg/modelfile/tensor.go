package modelfile

// Tensor is a tensor that a header announces. Text in it comes from the file.
type Tensor struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"` // as the format spells it: BF16, Q4_K, float32
	Shape []uint64 `json:"shape"`
	File  string   `json:"file"` // path in the model
	// Member is the member of the file that holds it, of those that have members.
	Member string `json:"member,omitempty"`
	// Offset is where its data begins, in bytes from the start of the file; -1 where
	// the header does not tell.
	Offset int64 `json:"offset"`
	Size   int64 `json:"size"` // of its data, in bytes; -1 where the header does not tell
}
