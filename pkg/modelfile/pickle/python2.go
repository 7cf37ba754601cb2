package pickle

// Names that Python 2 gave to what Python 3 has under others. They are those of
// CPython's Lib/_compat_pickle.py, version 3.11, which its unpickler applies to
// protocols below 3: names first, then modules. The exceptions of Python 2, which
// were in a module of their own, are mapped by [python3].

var python3Modules = map[string]string{
	"__builtin__":        "builtins",
	"copy_reg":           "copyreg",
	"Queue":              "queue",
	"SocketServer":       "socketserver",
	"ConfigParser":       "configparser",
	"repr":               "reprlib",
	"tkFileDialog":       "tkinter.filedialog",
	"tkSimpleDialog":     "tkinter.simpledialog",
	"tkColorChooser":     "tkinter.colorchooser",
	"tkCommonDialog":     "tkinter.commondialog",
	"Dialog":             "tkinter.dialog",
	"Tkdnd":              "tkinter.dnd",
	"tkFont":             "tkinter.font",
	"tkMessageBox":       "tkinter.messagebox",
	"ScrolledText":       "tkinter.scrolledtext",
	"Tkconstants":        "tkinter.constants",
	"Tix":                "tkinter.tix",
	"ttk":                "tkinter.ttk",
	"Tkinter":            "tkinter",
	"markupbase":         "_markupbase",
	"_winreg":            "winreg",
	"thread":             "_thread",
	"dummy_thread":       "_dummy_thread",
	"dbhash":             "dbm.bsd",
	"dumbdbm":            "dbm.dumb",
	"dbm":                "dbm.ndbm",
	"gdbm":               "dbm.gnu",
	"xmlrpclib":          "xmlrpc.client",
	"SimpleXMLRPCServer": "xmlrpc.server",
	"httplib":            "http.client",
	"htmlentitydefs":     "html.entities",
	"HTMLParser":         "html.parser",
	"Cookie":             "http.cookies",
	"cookielib":          "http.cookiejar",
	"BaseHTTPServer":     "http.server",
	"test.test_support":  "test.support",
	"commands":           "subprocess",
	"urlparse":           "urllib.parse",
	"robotparser":        "urllib.robotparser",
	"urllib2":            "urllib.request",
	"anydbm":             "dbm",
	"_abcoll":            "collections.abc",
	"cPickle":            "pickle",
	"_elementtree":       "xml.etree.ElementTree",
	"FileDialog":         "tkinter.filedialog",
	"SimpleDialog":       "tkinter.simpledialog",
	"DocXMLRPCServer":    "xmlrpc.server",
	"SimpleHTTPServer":   "http.server",
	"CGIHTTPServer":      "http.server",
	"UserDict":           "collections",
	"UserList":           "collections",
	"UserString":         "collections",
	"whichdb":            "dbm",
	"StringIO":           "io",
	"cStringIO":          "io",
}

var python3Names = map[Global]Global{
	{"__builtin__", "xrange"}:                  {"builtins", "range"},
	{"__builtin__", "reduce"}:                  {"functools", "reduce"},
	{"__builtin__", "intern"}:                  {"sys", "intern"},
	{"__builtin__", "unichr"}:                  {"builtins", "chr"},
	{"__builtin__", "unicode"}:                 {"builtins", "str"},
	{"__builtin__", "long"}:                    {"builtins", "int"},
	{"itertools", "izip"}:                      {"builtins", "zip"},
	{"itertools", "imap"}:                      {"builtins", "map"},
	{"itertools", "ifilter"}:                   {"builtins", "filter"},
	{"itertools", "ifilterfalse"}:              {"itertools", "filterfalse"},
	{"itertools", "izip_longest"}:              {"itertools", "zip_longest"},
	{"UserDict", "IterableUserDict"}:           {"collections", "UserDict"},
	{"UserList", "UserList"}:                   {"collections", "UserList"},
	{"UserString", "UserString"}:               {"collections", "UserString"},
	{"whichdb", "whichdb"}:                     {"dbm", "whichdb"},
	{"_socket", "fromfd"}:                      {"socket", "fromfd"},
	{"_multiprocessing", "Connection"}:         {"multiprocessing.connection", "Connection"},
	{"multiprocessing.process", "Process"}:     {"multiprocessing.context", "Process"},
	{"multiprocessing.forking", "Popen"}:       {"multiprocessing.popen_fork", "Popen"},
	{"urllib", "ContentTooShortError"}:         {"urllib.error", "ContentTooShortError"},
	{"urllib", "getproxies"}:                   {"urllib.request", "getproxies"},
	{"urllib", "pathname2url"}:                 {"urllib.request", "pathname2url"},
	{"urllib", "quote_plus"}:                   {"urllib.parse", "quote_plus"},
	{"urllib", "quote"}:                        {"urllib.parse", "quote"},
	{"urllib", "unquote_plus"}:                 {"urllib.parse", "unquote_plus"},
	{"urllib", "unquote"}:                      {"urllib.parse", "unquote"},
	{"urllib", "url2pathname"}:                 {"urllib.request", "url2pathname"},
	{"urllib", "urlcleanup"}:                   {"urllib.request", "urlcleanup"},
	{"urllib", "urlencode"}:                    {"urllib.parse", "urlencode"},
	{"urllib", "urlopen"}:                      {"urllib.request", "urlopen"},
	{"urllib", "urlretrieve"}:                  {"urllib.request", "urlretrieve"},
	{"urllib2", "HTTPError"}:                   {"urllib.error", "HTTPError"},
	{"urllib2", "URLError"}:                    {"urllib.error", "URLError"},
	{"multiprocessing", "AuthenticationError"}: {"multiprocessing.context", "AuthenticationError"},
	{"multiprocessing", "BufferTooShort"}:      {"multiprocessing.context", "BufferTooShort"},
	{"multiprocessing", "ProcessError"}:        {"multiprocessing.context", "ProcessError"},
	{"multiprocessing", "TimeoutError"}:        {"multiprocessing.context", "TimeoutError"},
	{"__builtin__", "basestring"}:              {"builtins", "str"},
	{"exceptions", "StandardError"}:            {"builtins", "Exception"},
	{"UserDict", "UserDict"}:                   {"collections", "UserDict"},
	{"socket", "_socketobject"}:                {"socket", "SocketType"},
}

// python3 returns what g is called in Python 3.
func python3(g Global) Global {
	if to, ok := python3Names[g]; ok {
		return to
	}
	if g.Module == "exceptions" {
		return Global{"builtins", g.Name}
	}
	if to, ok := python3Modules[g.Module]; ok {
		return Global{to, g.Name}
	}
	return g
}
