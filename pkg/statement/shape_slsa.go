package statement

import "github.com/modseal/modseal/pkg/internal/lazyregexp"

// hexDigest is a digest of any algorithm, as in-toto writes them.
var hexDigest = lazyregexp.New(`^[0-9a-f]{8,256}$`)

// resource is an in-toto resource descriptor
// (https://github.com/in-toto/attestation/blob/v1.2.0/spec/v1/resource_descriptor.md).
var resource = all(
	object(
		may("name", text), may("uri", text), may("mediaType", text), may("downloadLocation", text),
		may("digest", entries(text)), may("annotations", object()), may("content", text),
	),
	either("uri", "digest", "content"),
)

// provenanceV1 follows https://slsa.dev/spec/v1.1/provenance.
var provenanceV1 = object(
	need("buildDefinition", object(
		need("buildType", uri),
		need("externalParameters", object()),
		may("internalParameters", object()),
		may("resolvedDependencies", list(resource)),
	)),
	need("runDetails", object(
		need("builder", object(
			need("id", uri),
			may("version", entries(text)),
			may("builderDependencies", list(resource)),
		)),
		may("metadata", object(
			may("invocationId", text), may("startedOn", timestamp), may("finishedOn", timestamp),
		)),
		may("byproducts", list(resource)),
	)),
)

// provenanceV02 follows https://slsa.dev/spec/v0.2/provenance.
var provenanceV02 = object(
	need("builder", object(need("id", uri))),
	need("buildType", uri),
	may("invocation", object(
		may("configSource", object(may("uri", text), may("digest", entries(text)), may("entryPoint", text))),
	)),
	may("metadata", object(
		may("buildInvocationId", text), may("buildStartedOn", timestamp), may("buildFinishedOn", timestamp),
	)),
	may("materials", list(object(may("uri", text), may("digest", entries(form(hexDigest, "a digest in lower-case hexadecimal")))))),
)

// link follows https://github.com/in-toto/attestation/blob/v1.2.0/spec/predicates/link.md.
var link = object(
	need("name", text),
	may("command", list(anything)),
	may("materials", anything),
	may("byproducts", object()),
	may("environment", object()),
)
