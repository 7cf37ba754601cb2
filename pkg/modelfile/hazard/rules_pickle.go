package hazard

const docsScan = "https://github.com/modseal/modseal/blob/main/docs/scan-techniques.md"

// pickleRules are about the opcodes of Python's pickle format.
var pickleRules = []Rule{
	{
		ID: "pickle-dangerous-global", Severity: Critical,
		Title: "A pickle names a function that can harm whoever loads it",
		Help: "A pickle is a program: loading it runs the functions that it names. This one names a function that runs " +
			"commands or code, imports modules, or opens files or connections. No model needs that. Do not load the file; " +
			"ask its publisher for the weights as safetensors.",
		References: []string{"https://docs.python.org/3/library/pickle.html", docsScan},
	},
	{
		ID: "pickle-unknown-global", Severity: Medium,
		Title: "A pickle names a class or function that is on no list",
		Help: "Loading the file imports this name and may call it. Models of scikit-learn and the checkpoints of trainers do so " +
			"with their own classes. Allow the name, as MODULE.NAME, when you know what it does when it is called with " +
			"arguments that a stranger chose.",
		References: []string{docsScan},
	},
	{
		ID: "pickle-dotted-name", Severity: High,
		Title: "A pickle reaches a function through attributes",
		Help: "From protocol 4 on a name may have points, and each is followed as an attribute. Any module that the named " +
			"module happens to import can be reached so (torch.serialization:os.system), past lists of modules. A nested class " +
			"of your own can be allowed as MODULE:OUTER.INNER.",
		References: []string{"https://github.com/trailofbits/fickling/security/advisories/GHSA-5j3x-jp52-966f", docsScan},
	},
	{
		ID: "pickle-dunder-name", Severity: Critical,
		Title: "A pickle uses a name of Python's own machinery",
		Help: "Names such as __globals__ or __class__ lead from any object to everything that Python can do. They cannot be " +
			"allowed.",
		References: []string{docsScan},
	},
	{
		ID: "pickle-computed-name", Severity: Critical,
		Title: "A pickle names a function by something that it computes",
		Help: "The name of a global is no text that stands in the file, so that nobody can tell what is called without " +
			"calling it. No writer of pickles does this.",
		References: []string{"https://github.com/protectai/modelscan/issues/85", docsScan},
	},
	{
		ID: "pickle-computed-call", Severity: Critical,
		Title: "A pickle calls something that is no function by name",
		Help: "What is called is the result of another call or another value, so that lists of names say nothing about it. " +
			"No writer of pickles does this.",
		References: []string{docsScan},
	},
	{
		ID: "pickle-global-changed", Severity: Critical,
		Title: "A pickle changes a class, function or module",
		Help: "The change holds for the whole program that loads the file, and can replace what other code relies on. No " +
			"writer of pickles does this.",
		References: []string{"https://github.com/protectai/modelscan/issues/85", docsScan},
	},
	{
		ID: "pickle-extension-code", Severity: Critical,
		Title: "A pickle uses a number from the registry of extensions",
		Help: "The number stands for a global that the loading program registered with copyreg. Which one cannot be told from " +
			"the file.",
		References: []string{"https://docs.python.org/3/library/copyreg.html", docsScan},
	},
	{
		ID: "pickle-persistent-id", Severity: Medium,
		Title: "A pickle refers to something outside of it",
		Help: "A persistent id is turned into an object by the loading program. In files of PyTorch it names the storage of a " +
			"tensor; this one does not.",
		References: []string{"https://docs.python.org/3/library/pickle.html#persistence-of-external-objects"},
	},
	{
		ID: "pickle-load-from-bytes", Severity: Critical,
		Title: "A pickle unpickles bytes that could not be looked at",
		Help: "torch.storage._load_from_bytes loads the bytes that it is given as a file of PyTorch. It is clean when those " +
			"are in the file and clean themselves.",
		References: []string{docsScan},
	},
	{
		ID: "pickle-odd-argument", Severity: Medium,
		Title:      "A pickle calls a harmless function with an odd argument",
		Help:       "The function is harmless with the arguments that models have, and nobody looked at what it does with this one.",
		References: []string{docsScan},
	},
	{
		ID: "pickle-expansion", Severity: Medium,
		Title: "A small pickle makes a very large object",
		Help: "One container is put into others again and again, so that whoever walks over the object needs time and memory " +
			"without end (the billion laughs attack).",
		References: []string{"https://en.wikipedia.org/wiki/Billion_laughs_attack", docsScan},
	},
	{
		ID: "pickle-protocol", Severity: Medium,
		Title: "A pickle announces its protocol wrongly",
		Help: "The opcode PROTO stands at the beginning of every pickle from protocol 2 on and nowhere else. Pickles that were " +
			"put together by hand, to confuse scanners, have it elsewhere or not at all.",
		References: []string{docsScan},
	},
	{
		ID: "pickle-frame", Severity: High,
		Title: "A pickle has frames that its opcodes cross",
		Help: "Where an opcode goes beyond the end of its frame, loaders do not agree on what follows, so that a scanner can " +
			"be shown other opcodes than the loader runs. No writer of pickles does this.",
		References: []string{"https://github.com/python/cpython/issues/154848", docsScan},
	},
	{
		ID: "pickle-out-of-band-buffer", Severity: Low,
		Title:      "A pickle expects data beside it",
		Help:       "Protocol 5 can leave data to the program. A file of a model has no such place, so that it cannot be loaded.",
		References: []string{"https://peps.python.org/pep-0574/"},
	},
	{
		ID: "pickle-truncated", Severity: High, Incomplete: true,
		Title: "A pickle ends in the middle",
		Help: "Loading it fails at its end, after everything before was run. Get the file again, and ask where the end went " +
			"when it is so at its source.",
		References: []string{docsScan},
	},
	{
		ID: "pickle-invalid-opcode", Severity: High, Incomplete: true,
		Title:      "A pickle has a byte that is no opcode",
		Help:       "Loading it fails there, after everything before was run. Scanners that give up at an error miss what was before.",
		References: []string{docsScan},
	},
	{
		ID: "pickle-malformed", Severity: High, Incomplete: true,
		Title:      "A pickle has an opcode that cannot be run",
		Help:       "Loading it fails there, after everything before was run: a value that is not on the stack or in the memo is asked for.",
		References: []string{docsScan},
	},
	{
		ID: "pickle-trailing-bytes", Severity: High, Incomplete: true,
		Title:      "Bytes follow a pickle that are no pickle",
		Help:       "Nobody knows what they are for, and another program may read the file from its end. Write the object again and compare.",
		References: []string{docsScan},
	},
	{
		ID: "pickle-array-unread", Severity: High, Incomplete: true,
		Title:      "The array behind a pickle cannot be stepped over",
		Help:       "joblib writes the data of arrays between the opcodes. How long this one is cannot be told, so that what follows was not read.",
		References: []string{"https://joblib.readthedocs.io/en/stable/persistence.html"},
	},
	{
		ID: "pickle-limit", Severity: High, Incomplete: true,
		Title:      "A pickle is larger, or does more, than what is looked at",
		Help:       "It has more opcodes, values or findings than any model that is known, and what is beyond was not looked at; or it calls and changes what no writer does, arrays and types of NumPy above all, so that nobody knows what comes of it.",
		References: []string{docsScan},
	},
}
