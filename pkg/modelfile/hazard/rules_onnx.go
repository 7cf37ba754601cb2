package hazard

// onnxRules are about ONNX models, which run no code of their own.
var onnxRules = []Rule{
	{
		ID: "onnx-external-path", Severity: Critical,
		Title: "an ONNX tensor whose data is outside the directory of the model",
		Help: "The data of a tensor may be in another file, which the model names. This model names a path that leads out of its directory: " +
			"a runtime that follows it reads a file of your machine into the model, from where it can come out as a result. Do not load the model.",
		References: []string{
			"https://github.com/onnx/onnx/blob/main/docs/ExternalData.md",
			"CVE-2022-25882", "CVE-2024-27318", "CVE-2024-5187",
		},
	},
	{
		ID: "onnx-custom-operator", Severity: Medium,
		Title: "an ONNX operator that comes with a native library",
		Help: "The model uses operators of a domain that ONNX runtimes do not have. Whoever runs it has to load a library that does, " +
			"and that library is code. Find out where it comes from before you load it.",
		References: []string{"https://onnxruntime.ai/docs/reference/operators/add-custom-op.html"},
	},
	{
		ID: "onnx-malformed", Severity: High, Incomplete: true,
		Title: "an ONNX model that breaks the rules of its format",
		Help: "The file could not be read to its end, so that nobody knows what the rest of it asks a runtime to do. " +
			"Get the model again from where it comes from, or have it exported again.",
	},
}
