package hazard

// Rules about GGUF files.
const (
	GGUFOdd      = "gguf-odd"
	GGUFTrailing = "gguf-trailing-bytes"
)

// ggufRules are about GGUF files, which run no code but that of their chat templates.
var ggufRules = []Rule{
	{
		ID: GGUFOdd, Severity: Low,
		Title: "a GGUF file has something that few programs expect",
		Help: "It breaks no rule of the format, and programs that load the file may refuse it or take it for something else: texts of " +
			"many megabytes, arrays in arrays, tensors of a type that llama.cpp does not have.",
	},
	{
		ID: GGUFTrailing, Severity: Medium,
		Title: "bytes follow the tensors of a GGUF file",
		Help: "No tensor has them, and no program that loads the file reads them. Look at what they are, or have the file written anew " +
			"without them.",
	},
}
