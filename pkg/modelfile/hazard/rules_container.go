package hazard

// containerRules are about archives and compressed files: zip, tar, NumPy, HDF5.
var containerRules = []Rule{
	{
		ID: "archive-hidden-member", Severity: Critical,
		Title: "A member of the archive that its directory does not list",
		Help: "Programs that go by the directory of a zip file do not see this member, others do. " +
			"Nothing that writes models makes such files; scanners are evaded with them. Do not load the file.",
	},
	{
		ID: "archive-duplicate-member", Severity: Critical,
		Title: "Two members of the archive have the same name",
		Help: "One program reads the first, another the last, so that what was checked need not be what is loaded. " +
			"Do not load the file.",
	},
	{
		ID: "archive-header-mismatch", Severity: Critical,
		Title: "The archive says two things about the same member",
		Help: "A zip file describes each member twice, and here the descriptions differ: " +
			"which one a program believes decides what it sees. Do not load the file.",
		References: []string{"CVE-2025-1944", "https://github.com/mmaitre314/picklescan/security/advisories/GHSA-7q5r-7gvp-wc82"},
	},
	{
		ID: "archive-overlap", Severity: Critical,
		Title: "Members of the archive share bytes",
		Help:  "The same bytes belong to several members, which no writer of models does. It makes archives that expand without end and that mean two things. Do not load the file.",
	},
	{
		ID: "archive-polyglot", Severity: Critical,
		Title: "The file is an archive and something else at once",
		Help: "Programs disagree about what such a file is, so that one checks what another does not load. " +
			"Do not load the file.",
	},
	{
		ID: "archive-unlisted-bytes", Severity: Medium,
		Title: "Bytes in the archive belong to no member",
		Help:  "Between, before or behind the members are bytes that no program should need. Look at what they are, or have the file written anew.",
	},
	{
		ID: "archive-encrypted", Severity: High,
		Title: "A member of the archive is marked as encrypted",
		Help: "Models are not encrypted member by member. With the mark set on plain bytes, scanners that believe it look away, " +
			"and torch loads the member all the same. modseal reads the bytes regardless of the mark.",
		References: []string{"https://github.com/mmaitre314/picklescan/security/advisories/GHSA-w8jq-xcqf-f792"},
	},
	{
		ID: "archive-crc", Severity: Medium,
		Title: "The checksum of a member is wrong",
		Help: "The file is damaged, or the checksum was broken on purpose: Python stops at it, torch does not look. " +
			"modseal reads the bytes regardless. Get the file from its origin again.",
		References: []string{"CVE-2025-10156"},
	},
	{
		ID: "archive-size", Severity: High,
		Title: "A member is not as long as the archive says",
		Help:  "Programs stop at different places in such a member, so that what was checked need not be what is loaded. Get the file from its origin again.",
	},
	{
		ID: "archive-unsafe-name", Severity: High,
		Title: "The name of a member leads out of the directory it is unpacked to",
		Help: "Who unpacks the archive without care writes files elsewhere on the machine. " +
			"Do not unpack it.",
		References: []string{"https://cwe.mitre.org/data/definitions/22.html"},
	},
	{
		ID: "archive-link", Severity: High,
		Title: "A member of the archive is a link",
		Help:  "Links in archives make later members be written, or read, elsewhere on the machine. Models do not need them; do not unpack the archive.",
	},
	{
		ID: "archive-special", Severity: High,
		Title: "A member of the archive is a device or another special file",
		Help:  "Models have files and directories alone. Do not unpack the archive.",
	},
	{
		ID: "archive-malformed", Severity: High, Incomplete: true,
		Title: "The archive or compressed file breaks the rules of its format",
		Help: "It was read as far as it can be understood. Another program may understand it in another way and load what was not looked at. " +
			"Get the file from its origin again.",
	},
	{
		ID: "archive-method", Severity: High, Incomplete: true,
		Title: "A member is compressed in a way that is not read",
		Help:  "No program that loads models writes this, and what the member holds was not looked at. Have the archive written anew.",
	},
	{
		ID: "archive-unsupported", Severity: High, Incomplete: true,
		Title: "An archive of a format that is not read",
		Help:  "What it holds was not looked at. Unpack it where it cannot harm and scan what comes out.",
	},
	{
		ID: "archive-nesting", Severity: High, Incomplete: true,
		Title: "Archives inside archives, deeper than is looked at",
		Help:  "What lies deeper was not looked at. Unpack the outer ones and scan what comes out.",
	},
	{
		ID: "archive-members", Severity: High, Incomplete: true,
		Title: "More members than are looked at",
		Help:  "What lies beyond was not looked at. Unpack the archive where it cannot harm and scan what comes out.",
	},
	{
		ID: "archive-expansion", Severity: High, Incomplete: true,
		Title: "More comes out of the compressed bytes than is read",
		Help:  "The file expands to many times its size, as bombs do, and was not read to its end. Do not unpack it where space is short.",
	},
	{
		ID: "archive-memory", Severity: High, Incomplete: true,
		Title: "Unpacking the bytes takes more memory than is given",
		Help:  "The file was compressed with a window or dictionary that is larger than modseal allows, and was not read. Decompress it and scan what comes out.",
	},
	{
		ID: "torch-script-code", Severity: Medium,
		Title: "The file holds TorchScript, a program",
		Help: "torch.jit.load runs the code in the archive's folder code/ when the model is used. " +
			"It is confined to the operators of torch, some of which read and write files. Know who wrote it.",
	},
	{
		ID: "numpy-object-array", Severity: Medium,
		Title: "An array of Python objects",
		Help: "The array is a pickle behind a header and is loaded with allow_pickle alone. " +
			"What the pickle does is reported beside this. Have the data written as an array of numbers.",
		References: []string{"CVE-2019-6446"},
	},
	{
		ID: "numpy-malformed", Severity: High, Incomplete: true,
		Title: "The array breaks the rules of its format",
		Help:  "What it holds was not looked at to its end. Get the file from its origin again.",
	},
	{
		ID: "numpy-trailing-bytes", Severity: Medium,
		Title: "Bytes behind the end of the array",
		Help:  "numpy.load does not read them; calling it twice on one file does. They were looked at as a file of their own.",
	},
	{
		ID: "hdf5-malformed", Severity: High, Incomplete: true,
		Title: "The HDF5 file breaks the rules of its format",
		Help:  "It was read as far as it can be understood. Get the file from its origin again.",
	},
	{
		ID: "hdf5-unsupported", Severity: High, Incomplete: true,
		Title: "The HDF5 file uses a feature that is not read",
		Help:  "A part of the file was not looked at, and the configuration of a model may be there. Write the file anew with h5repack and scan that.",
	},
	{
		ID: "hdf5-external", Severity: High,
		Title: "The HDF5 file takes data from another file",
		Help: "Its links or data sets name a file on the machine where it is opened, which is read then: " +
			"data of that machine can end up in the model. Do not load the file.",
		References: []string{"CVE-2026-1669"},
	},
}
