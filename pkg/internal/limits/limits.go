// Package limits names the bounds on input that comes from elsewhere. Every
// length that a stranger chose is compared with one of them before it is
// allocated or walked. The bounds of the manifest itself are part of the wire
// format and live in artifacttypes.
package limits

const (
	// ConfigBytes bounds a model config.
	ConfigBytes = 4 << 20
	// BundleBytes bounds a Sigstore bundle. An OMS statement names every file:
	// 100,000 files need about 25 MiB in base64.
	BundleBytes = 32 << 20
	// Signatures bounds the signature files of one directory: a policy may want
	// several signers, and each signs in a file of its own.
	Signatures = 32
	// EvidenceBytes bounds all bundles of one artifact together.
	EvidenceBytes = 64 << 20
	// PredicateBytes bounds the predicate of a statement that is to be signed: in
	// base64 and with what a bundle has beside it, it stays within BundleBytes.
	PredicateBytes = 23 << 20
	// PredicateTypeBytes bounds the URI of a predicate type.
	PredicateTypeBytes = 1 << 10
	// LegacyLayers bounds the signatures in one image of cosign's before it had
	// bundles.
	LegacyLayers = 1_000
	// LegacyAnnotationBytes bounds an annotation of such a layer: the longest are
	// certificate chains and log entries, which have 10 KiB.
	LegacyAnnotationBytes = 1 << 20
	// SimpleSigningBytes bounds what such a signature signs; the usual ones have
	// 250 bytes, and annotations of the signer are in it.
	SimpleSigningBytes = 1 << 20
	// Files bounds the files of one model, members of grouping tars included.
	Files = 100_000
	// PathBytes bounds the paths of one model together, since they are held in
	// memory, twice: the statement about longer ones would not fit into
	// [BundleBytes].
	PathBytes = 32 << 20

	// Referrers bounds the referrers of one subject, over all pages.
	Referrers = 1_000
	// ReferrerPages bounds the pages of one referrers answer.
	ReferrerPages = 100
	// ReferrerDepth bounds referrers of referrers.
	ReferrerDepth = 8
	// GraphNodes bounds the manifests of one copied or shown graph.
	GraphNodes = 10_000

	// GraphBytes bounds the manifests of a graph that are held in memory while it is
	// copied; the others are read again.
	GraphBytes = 64 << 20
	// ReferrerBytes bounds the manifests of all referrers of one subject, which
	// are held in memory together: a thousand of the usual 1 KiB are 1 MiB.
	ReferrerBytes = 64 << 20
	// ListingBytes bounds one page of tags or referrers.
	ListingBytes = 16 << 20
	// TagPages bounds the pages of one list of tags.
	TagPages = 1_000
	// ErrorBytes bounds the text of an error that a registry answers.
	ErrorBytes = 8 << 10
	// PushBytes bounds a blob that is pushed from memory: the largest are
	// bundles. Larger ones go through the upload engine.
	PushBytes = 32 << 20

	// MirrorBytes bounds a blob that is read from a mirror into memory, to be
	// checked before a byte of it is handed on. Larger ones go through the
	// download engine.
	MirrorBytes = 32 << 20
	// HostsBytes bounds a hosts.toml; the longest known have 2 KiB.
	HostsBytes = 64 << 10
	// HostsLevels bounds the dots and braces of a hosts.toml: each may open a
	// level, and the time to parse grows with their square, to 0.1 s for so many.
	HostsLevels = 500
	// HostsPEMBytes bounds a file of certificates or keys that a hosts.toml
	// names: the authorities of a whole system have 250 KiB.
	HostsPEMBytes = 2 << 20
	// HostsFiles bounds the files that one host names.
	HostsFiles = 64
	// Mirrors bounds the mirrors of one registry: all of them may be asked for
	// each blob.
	Mirrors = 16

	// LayoutIndexBytes bounds the index.json of an OCI layout on disk, which is
	// no manifest of a registry: it lists every artifact of the layout.
	LayoutIndexBytes = 64 << 20
	// LayoutManifests bounds the entries of that index.json: finding referrers
	// reads each manifest once.
	LayoutManifests = 100_000
	// LayoutIndexMembers bounds the members of all objects in the index.json of an
	// archive: 15 for each entry. Each may be an annotation, which takes 100 bytes of
	// memory however short it is.
	LayoutIndexMembers = 1_500_000
	// LayoutFileBytes bounds the file oci-layout, which holds one version.
	LayoutFileBytes = 4 << 10
	// LayoutBlobs bounds the blobs of a layout that is collected: each takes about
	// 500 bytes of memory meanwhile.
	LayoutBlobs = 1_000_000
	// LayoutUploads bounds the uploads into a layout that are not finished: the oldest
	// gives way to a new one.
	LayoutUploads = 1_000
	// ReferrerListBytes bounds a list of referrers in a layout: far more than a
	// registry would take, and enough for every list within Referrers.
	ReferrerListBytes = 32 << 20

	// Selected bounds the artifacts of one command, by name or by glob.
	Selected = 10_000
	// ReferenceListBytes bounds a file that lists references.
	ReferenceListBytes = 1 << 20

	// InventoryBytes bounds the list of what a site has: 130 bytes for a blob.
	InventoryBytes = 32 << 20
	// InventoryEntries bounds the artifacts and blobs in it.
	InventoryEntries = 200_000
	// ArchiveEntries bounds the entries of an archive: a config and a layer for each
	// manifest that its index may list, and as many again. Each takes about 100 bytes
	// of memory.
	ArchiveEntries = 500_000
	// ArchiveEndBytes bounds the zeros at the end of an archive: tar writes at least
	// two blocks, and fills up to what a tape takes at once.
	ArchiveEndBytes = 1 << 20
	// TarNameBytes bounds the name of an entry: the longest that is accepted is that
	// of a sha512 blob, with 141 bytes.
	TarNameBytes = 1 << 10
	// TarPAXBytes bounds the extended header of an entry; those with extended
	// attributes have some KiB, and one of sizes has 30 bytes.
	TarPAXBytes = 64 << 10
	// ArchiveContentsBytes bounds what an archive says of its contents: about 300
	// bytes for each artifact and each blob that was left out.
	ArchiveContentsBytes = 64 << 20
	// ArchiveParts bounds the parts of an archive: all are open at once.
	ArchiveParts = 1_000
	// ArchivePartsBytes bounds the list of the parts: 200 bytes for each.
	ArchivePartsBytes = 1 << 20
	// ArchiveSets bounds the other lists of parts in a directory that are looked
	// into for where a part belongs that is not of its set.
	ArchiveSets = 100

	// StateBytes bounds the record about a directory of files: 300 bytes a file.
	StateBytes = 64 << 20

	// DigestCacheBytes bounds the file that remembers digests.
	DigestCacheBytes = 64 << 20
	// DigestCacheEntries bounds what it remembers: the files of two models that
	// are as large as they may be.
	DigestCacheEntries = 2 * Files
	// JournalBytes bounds the record of an upload that was not finished.
	JournalBytes = 32 << 10
	// Journals bounds how many of them are looked at.
	Journals = 10_000
	// ProfilesBytes bounds the file of what was learned about registries.
	ProfilesBytes = 1 << 20
	// Profiles bounds the registries that it is about.
	Profiles = 1_000

	// PartialJournalBytes bounds the journal of an unfinished blob or archive: a line
	// of 40 bytes for every MiB since it was written anew, which is every 256 MiB,
	// and as much for each blob of an archive that came before its neighbours.
	PartialJournalBytes = 16 << 20

	// ExpandedFactor bounds a compressed layer: at most so many times its size
	// may come out, and [ExpandedSlack] more.
	ExpandedFactor = 64
	// ExpandedSlack lets small layers expand well, in bytes.
	ExpandedSlack = 1 << 30
	// ZstdWindow bounds the memory that a zstd frame may ask for.
	ZstdWindow = 128 << 20

	// KeyBytes bounds a key file.
	KeyBytes = 1 << 20
	// ChainCertificates bounds a chain of certificates, of a signer or in a trusted
	// root; the longest in use have five.
	ChainCertificates = 16
	// ReferenceBytes bounds the reference to a key: a URI.
	ReferenceBytes = 4 << 10
	// TokenBytes bounds an identity token: those of CI systems have 2 KiB, and HTTP
	// servers take headers of 8 to 64 KiB.
	TokenBytes = 64 << 10
	// ServiceBytes bounds the answer of a signing service or an identity provider;
	// the largest, of transparency logs, have 20 KiB.
	ServiceBytes = 4 << 20
	// TrustedRootBytes bounds a trusted root; that of the public-good instance has
	// 10 KiB.
	TrustedRootBytes = 4 << 20
	// BundleCertificates bounds the chain in a bundle; real ones have three.
	BundleCertificates = 16
	// BundleRSABits bounds the RSA keys that come with a bundle: one of a million
	// bits takes minutes to verify with. crypto/tls has the same bound.
	BundleRSABits = 8192
	// LogEntries bounds the log entries of a bundle, as sigstore-go does once it
	// verifies them.
	LogEntries = 32
	// BundleTimestamps bounds its timestamps, as sigstore-go does.
	BundleTimestamps = 32
	// LogEntryBytes bounds the body of a log entry: those with a certificate have
	// 6 KiB.
	LogEntryBytes = 64 << 10
	// TimestampBytes bounds a timestamp: those with their certificates have 6 KiB.
	TimestampBytes = 64 << 10
	// VersionBytes bounds the version of a model that is compared with others.
	VersionBytes = 256
	// TrustedRootMembers bounds each list of a trusted root; that of the
	// public-good instance has at most three.
	TrustedRootMembers = 128
	// LogIDBytes bounds the identifier of a log, which is a SHA-256.
	LogIDBytes = 64
	// SigningConfigBytes bounds a signing configuration; that of the public-good
	// instance has 1 KiB.
	SigningConfigBytes = 1 << 20
	// Services bounds each list of services of a signing configuration.
	Services = 128
	// Certificates bounds the certificates of one file.
	Certificates = 128
	// TrustItems bounds what a store of trust material, or a file that carries
	// it, holds.
	TrustItems = 1_000
	// TrustFileBytes bounds a file that carries trust material between sites.
	TrustFileBytes = 32 << 20
	// TrustIndexBytes bounds the index of a store of trust material: some 500
	// bytes for each item.
	TrustIndexBytes = 4 << 20
	// TrustTextBytes bounds the name of a source and the URL of a service.
	TrustTextBytes = 2 << 10
	// TUFFileBytes bounds one file of a TUF repository, whatever its metadata
	// announce; those of the public-good instance have at most 60 KiB.
	TUFFileBytes = 5 << 20
	// TUFBytes bounds all that is fetched from a TUF repository at once.
	TUFBytes = 64 << 20
	// TUFURLBytes bounds the URL of a TUF repository, which becomes the name of a
	// directory.
	TUFURLBytes = 200
	// PolicyBytes bounds a policy document.
	PolicyBytes = 1 << 20
	// OverridesBytes bounds a modseal.yaml.
	OverridesBytes = 64 << 10
	// OverridesLines bounds its lines; parsing so many takes 10 ms.
	OverridesLines = 1_000
	// Signers bounds the signers of one requirement.
	Signers = 1_000

	// PolicyScopes bounds the scopes of a policy.
	PolicyScopes = 1_000
	// PolicyRequirements bounds the requirements of a scope.
	PolicyRequirements = 100
	// PolicyNames bounds lists of names in a policy: trusted roots, remaps,
	// predicate types, paths, extensions.
	PolicyNames = 100
	// Witnesses bounds the logs and timestamp authorities that a policy can ask
	// for, as sigstore-go bounds those of a bundle.
	Witnesses = 32
	// RegexpBytes bounds a regular expression of a policy.
	RegexpBytes = 1 << 10
	// RegexpInstructions bounds what it is compiled to: x{1000} is short and is not
	// small.
	RegexpInstructions = 1_000

	// PlanBytes bounds the file of a declared set of promotions.
	PlanBytes = 1 << 20
	// PlanPromotions bounds its entries.
	PlanPromotions = 1_000
	// PlanNames bounds the lists of one entry.
	PlanNames = 100

	// Conditions bounds the conditions of one requirement.
	Conditions = 100
	// ConditionRunes bounds an expression as it is written.
	ConditionRunes = 4 << 10
	// ConditionDepth bounds its nesting.
	ConditionDepth = 64
	// ConditionNodes bounds what it is when its macros are expanded.
	ConditionNodes = 10_000
	// ConditionCost bounds the steps of an evaluation: 100,000 files can be looked
	// at with 100 steps for each, which takes about a second.
	ConditionCost = 10_000_000
	// ConditionInterrupt is after how many rounds of a loop an evaluation looks
	// whether it was cancelled.
	ConditionInterrupt = 100
	// ConditionRange bounds lists.range.
	ConditionRange = 10_000
	// ConditionPrecision bounds the digits of a formatted number.
	ConditionPrecision = 100
	// ConditionPredicateBytes bounds a predicate that conditions read.
	ConditionPredicateBytes = 16 << 20
	// ConditionValues bounds the values in it: each takes about 100 bytes of memory.
	ConditionValues = 1_000_000
	// ConditionSizeDepth bounds the nesting of values: what is read from JSON, and
	// what an expression puts around it.
	ConditionSizeDepth = JSONDepth + 4*ConditionDepth
	// ConditionFound bounds the values that are shown when a condition is false,
	// and the elements of each.
	ConditionFound = 10
	// ConditionMessageBytes bounds what CEL says about an expression.
	ConditionMessageBytes = 500

	// DiffHeaders bounds the weight files of one side whose headers are compared;
	// the largest models have a few hundred shards.
	DiffHeaders = 2_000
	// DiffHeaderBytes bounds the headers of one side together: a shard has 100 KiB, a
	// GGUF with its vocabulary 10 MiB.
	DiffHeaderBytes = 256 << 20
	// DiffTensors bounds the tensors of one side, each of which takes about 200 bytes
	// of memory. While headers are read, half as many are held besides.
	DiffTensors = 1_000_000
	// DiffConfigs bounds the JSON files that are compared value by value.
	DiffConfigs = 64
	// DiffConfigBytes bounds each of them: a config.json has 2 KiB, and what is larger
	// is a vocabulary.
	DiffConfigBytes = 256 << 10

	// LineageDepth bounds how far a lineage is followed: a merge of fine-tunes of an
	// adapter is at depth four.
	LineageDepth = 32
	// LineageNodes bounds what is in a lineage: models, data sets and sources together.
	LineageNodes = 512
	// LineageDependencies bounds what one provenance, or the annotations of one
	// manifest, say that a model was made from.
	LineageDependencies = 256
	// ViewBytes bounds what is read of a model to learn what it is: 2,000 headers of
	// 500 KiB each, or ten of the largest that safetensors allows.
	ViewBytes = 1 << 30
	// InspectTensors bounds the tensors that are listed, each of which takes about 200
	// bytes of memory.
	InspectTensors = 1_000_000
	// ViewWholeBytes is the size up to which a file is read whole and compared with
	// its digest when a part of it is wanted: what reads parts asks for the smallest
	// files first, which are configuration.
	ViewWholeBytes = 64 << 10
	// ViewProofBytes bounds what is fetched to compare what was read in parts with
	// digests, where a claim about all of a model is signed without its weights.
	ViewProofBytes = 64 << 20
	// ViewKeptBytes bounds how much of such files is kept in memory.
	ViewKeptBytes = 4 << 20
	// ViewCacheBytes bounds the parts of larger files that are kept.
	ViewCacheBytes = 8 << 20

	// JSONDepth bounds the nesting of a signed statement; the deepest known
	// ones, SBOMs, stay below 20.
	JSONDepth = 64
	// StatementSubjects bounds the subjects of a statement, as sigstore-go does.
	StatementSubjects = 1024
	// SubjectDigests bounds the digests of one subject, as sigstore-go does.
	SubjectDigests = 32

	// GitConfigBytes bounds the configuration of a git repository.
	GitConfigBytes = 1 << 20
	// PackedRefsBytes bounds its packed refs: 100 bytes for each of a million.
	PackedRefsBytes = 128 << 20
	// TrainingRecords bounds the records of training that provenance tells of: every
	// checkpoint may have one.
	TrainingRecords = 64
	// TrainingRecordBytes bounds one of them: the log of 50,000 steps has 6 MiB.
	TrainingRecordBytes = 8 << 20
	// TrainingValues bounds the values that are told of one.
	TrainingValues = 100
	// ProvenanceDependencies bounds the dependencies of provenance that is read.
	ProvenanceDependencies = 10_000

	// VSABytes is the largest predicate of a verification summary.
	VSABytes = 4 << 20
	// VSATextBytes bounds one text in it.
	VSATextBytes = 4 << 10
	// VSALevels bounds the levels of a verification summary, and the names that it
	// gives to parts of its verifier.
	VSALevels = 64
	// VSAInputs bounds the attestations that it rests on.
	VSAInputs = Referrers

	// ScanTextBytes bounds a text that a scan holds: of a longer one in JSON the
	// beginning is looked at. The longest chat templates have 20 KiB.
	ScanTextBytes = 1 << 20
	// ScanJSONDepth bounds how deep values of JSON lie: Python gives up at about a
	// thousand.
	ScanJSONDepth = 1_000
	// ScanJSONBytes bounds a configuration in JSON; the longest have 1 MiB.
	ScanJSONBytes = 64 << 20
	// ScanSecretBytes bounds how much of a text is searched for credentials: they are
	// in files that people write.
	ScanSecretBytes = 4 << 20
	// ScanFindings bounds the findings that a report lists. Ten thousand of them are
	// about 4 MiB, in an attestation as well.
	ScanFindings = 10_000
	// ScanMembers bounds the members of containers in one file, those in members
	// included.
	ScanMembers = 200_000
	// ScanUnpackedBytes bounds what is unpacked from one file, on all levels together:
	// a checkpoint that was compressed with a general tool has a few gigabytes.
	ScanUnpackedBytes = 16 << 30
)
