package hazard

// Rules about code that is not pickle.
const (
	KerasLambda       = "keras-lambda"
	KerasForeign      = "keras-foreign-module"
	KerasUnsafe       = "keras-unsafe-setting"
	KerasTFOp         = "keras-tf-op"
	TFPythonOp        = "tensorflow-python-op"
	TFFileOp          = "tensorflow-file-op"
	TFReachingOp      = "tensorflow-reaching-op"
	TemplateReaches   = "template-reaches-outside"
	CodeRemote        = "code-remote"
	CodeElsewhere     = "code-from-another-repository"
	CodePython        = "code-python"
	CodeScript        = "code-script"
	CodeNativeLibrary = "code-native-library"
)

// codeRules are about code that is not pickle: Keras layers, graphs, templates, Python.
var codeRules = []Rule{
	{
		ID: KerasLambda, Severity: Critical,
		Title: "a Keras layer holds Python code",
		Help: "A Lambda layer stores a Python function as marshalled bytecode, which Keras unmarshals and calls; in HDF5 files " +
			"its safe mode is ignored. Ask for a model whose layers are registered classes, or convert it to ONNX or safetensors.",
		References: []string{"CVE-2024-3660", "CVE-2025-9905", "https://keras.io/api/layers/core_layers/lambda/"},
	},
	{
		ID: KerasForeign, Severity: Critical,
		Title: "a Keras configuration imports a module that is not Keras",
		Help: "Keras imports the module that a configuration names, gets the name out of it and calls it. Outside of keras that " +
			"can be any function of any installed package.",
		References: []string{"CVE-2025-1550", "CVE-2025-8747"},
	},
	{
		ID: KerasUnsafe, Severity: Critical,
		Title:      "a Keras configuration turns its own protection off",
		Help:       "enable_unsafe_deserialization, or safe_mode set to false inside of the model, let code in the model run when it is loaded.",
		References: []string{"CVE-2025-9906"},
	},
	{
		ID: KerasTFOp, Severity: Medium,
		Title: "a Keras layer calls a TensorFlow function by its name",
		Help: "TFOpLambda calls whatever symbol of TensorFlow it names with arguments out of the file. Nearly always that is " +
			"arithmetic; some functions read and write files.",
	},
	{
		ID: TFPythonOp, Severity: Critical,
		Title: "a TensorFlow graph calls Python",
		Help:  "PyFunc and its kin call a Python function while the graph runs.",
		References: []string{
			"https://github.com/tensorflow/tensorflow/blob/v2.19.0/SECURITY.md",
		},
	},
	{
		ID: TFFileOp, Severity: Critical,
		Title: "a TensorFlow graph reads or writes files",
		Help: "ReadFile and WriteFile take any path: a graph that is only run can read credentials into its output, or write a " +
			"file that is run later.",
		References: []string{"https://github.com/tensorflow/tensorflow/blob/v2.19.0/SECURITY.md"},
	},
	{
		ID: TFReachingOp, Severity: Medium,
		Title: "a TensorFlow graph looks at files or prints",
		Help:  "MatchingFiles lists files, PrintV2 can write to one. Look where in the graph it stands and what it is given.",
	},
	{
		ID: TemplateReaches, Severity: Medium,
		Title: "a chat template reaches outside of its data",
		Help: "Chat templates are Jinja programs. Access to attributes of Python objects leads out of a template that is rendered " +
			"without a sandbox to any function of the process. An honest template formats messages and needs none of it.",
		References: []string{"CVE-2024-34359", "https://jinja.palletsprojects.com/en/stable/sandbox/"},
	},
	{
		ID: CodeRemote, Severity: Medium,
		Title: "the configuration names code of the model to run",
		Help: "auto_map makes transformers import a Python file of the model when it is loaded with trust_remote_code. Read that " +
			"file, or load the model with a class of the library.",
		References: []string{"https://huggingface.co/docs/transformers/v4.57.1/en/custom_models"},
	},
	{
		ID: CodeElsewhere, Severity: High,
		Title: "the configuration names code of another repository to run",
		Help: "An entry of auto_map with -- in it is imported from another repository of a hub, which nobody signed with this model " +
			"and which may change every day. Bring the code into the model.",
		References: []string{"https://huggingface.co/docs/transformers/v4.57.1/en/custom_models"},
	},
	{
		ID: CodePython, Severity: Low,
		Title: "a Python file lies beside the weights",
		Help:  "It does nothing by itself. It runs when somebody imports it, as frameworks do when a configuration points to it.",
	},
	{
		ID: CodeScript, Severity: Low,
		Title: "a script lies beside the weights",
		Help:  "It does nothing by itself. It runs when somebody starts it.",
	},
	{
		ID: CodeNativeLibrary, Severity: High,
		Title: "a native program or library is part of the model",
		Help: "Machine code cannot be judged by reading it. Frameworks load libraries of custom operators that a model brings; take " +
			"them from where they are built instead.",
	},
}
