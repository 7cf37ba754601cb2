package hazard

// Rules about whole files.
const (
	FileExecutable = "file-executable-as-weights"
	FileDisguised  = "file-other-than-its-name"
	FilePolyglot   = "file-two-formats"
	FileSecret     = "file-secret"
	FileMaybeKey   = "file-possible-secret"
	FileInvalid    = "file-invalid"
	FileUnread     = "file-unread"
	FileUnfinished = "file-budget"
)

// fileRules are about whole files: names that lie, secrets, what could not be read.
var fileRules = []Rule{
	{
		ID: FileExecutable, Severity: Critical,
		Title: "a program has the name of weights",
		Help:  "The file is machine code or a script and is named as if it were data. There is no honest reason for that.",
	},
	{
		ID: FileDisguised, Severity: High,
		Title: "a file is of another format than its name says",
		Help: "Loaders that look at the content read it as what it is, scanners that look at the name read it as what it is not. " +
			"When the content is a pickle, a file that was taken for harmless data runs code.",
	},
	{
		ID: FilePolyglot, Severity: High,
		Title: "a file is of two formats at once",
		Help:  "One program reads one format out of it and another program the other, so that what was examined is not what is loaded.",
	},
	{
		ID: FileSecret, Severity: High,
		Title: "a file holds a credential",
		Help: "Whoever can pull the model can use it. Revoke it where it was issued, remove it from the file, and push again: a " +
			"registry keeps what was pushed. The rules are those of gitleaks.",
		References: []string{"https://github.com/gitleaks/gitleaks/tree/v8.30.1", "CWE-798"},
	},
	{
		ID: FileMaybeKey, Severity: Low,
		Title:      "a file may hold a credential",
		Help:       "A name such as key or token stands before a text that looks random. Have a look at it.",
		References: []string{"https://github.com/gitleaks/gitleaks/tree/v8.30.1"},
	},
	{
		ID: FileInvalid, Severity: High, Incomplete: true,
		Title: "a file breaks the rules of its format",
		Help: "What could not be read as its format was not examined. A loader that is less strict may read something out of it; an " +
			"honest file of this kind was damaged.",
	},
	{
		ID: FileUnread, Severity: High, Incomplete: true,
		Title: "a file could not be examined",
		Help:  "Nothing is known about what is in it. Where it is a container that is not supported, unpack it and scan what comes out.",
	},
	{
		ID: FileUnfinished, Severity: High, Incomplete: true,
		Title: "a file needs more work than the bound",
		Help: "It has more members, or unpacks to more bytes, than one file may take. Such files are made to keep scanners busy; " +
			"unpack an honest one and scan what comes out.",
	},
}
