import ForgeBase
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Testing

@testable import ForgePackages

/// Container images: what a name means, and whether every part is what the lock says.
@Suite struct ImageTests {
    let scratch = Scratch()
    let store: any ObjectStore = MemoryStore()
    let registry = TinyRegistry()
    var fetcher: Fetcher { Fetcher(partialDirectory: scratch.partial, options: quick { $0.attempts = 2 }) }
    /// The registry under a name that no machine has.
    var mirrors: [(String, [String])] { [("registry.invalid", [registry.url])] }
    static let name = "registry.invalid/group/pause:3.2"

    static func options(_ image: String = name, _ more: String = "") throws -> JSON {
        try JSON(parsing: Array(#"{"images":[{"image":"\#(image)"\#(more)}]}"#.utf8), file: "options")
    }

    func lock(
        _ options: JSON, previous: LockEntry? = nil, update: LockUpdate = .none, paths: [String: String] = [:]
    ) throws -> LockOutcome {
        try ImageLocker(fetcher: fetcher, store: store, mirrors: mirrors, paths: paths).lock(
            id: "images", parameters: [:], options: options, request: options, previous: previous, update: update)
    }

    func fetch(_ options: JSON, _ entry: LockEntry, into store: any ObjectStore) throws {
        let image = try CopiedImage.list(options)[0]
        try #require(entry.images).first?.fetch(image, mirrors: mirrors, fetcher: fetcher, into: store) { _ in }
    }

    // MARK: What a name means

    @Test(arguments: [false, true])
    func aTagIsPinnedToTheLastLayer(_ docker: Bool) throws {
        let image = TinyImage(docker: docker)
        registry.add(image, tag: "3.2")
        let outcome = try lock(Self.options())
        let locked = try #require(outcome.entry.images?.first)
        #expect(locked.name == Self.name && locked.manifest == Digest.of(image.manifest))
        #expect(locked.mediaType.contains(docker ? "docker" : "oci"))
        #expect(locked.blobs == image.blobs.map { Digest.of($0) })
        #expect(
            !registry.paths.contains { $0.contains(Digest.of(image.layers[0]).hex) }, "layers are left to the build")
        #expect(outcome.changes.map(\.description) == ["\(Self.name) sha256:\(locked.manifest.hex.prefix(12))… (new)"])

        try fetch(Self.options(), outcome.entry, into: store)
        for bytes in [image.manifest] + image.blobs { #expect(try store.read(Digest.of(bytes)) == bytes) }
        let asked = registry.requests.count
        try fetch(Self.options(), outcome.entry, into: store)
        #expect(registry.requests.count == asked, "what is there is not asked for")
        // Another machine has the lock and nothing else.
        let other = MemoryStore()
        try fetch(Self.options(), outcome.entry, into: other)
        #expect(try other.read(locked.manifest) == image.manifest)
    }

    @Test func ofAnIndexThePlatformCounts() throws {
        let (amd64, arm64) = (TinyImage(), TinyImage(platform: "linux/arm64", seed: 2))
        registry.add(amd64)
        registry.add(arm64)
        let index = TinyImage.index([("linux/arm64/v8", arm64), ("linux/amd64", amd64), ("unknown/unknown", amd64)])
        registry.state.withLock {
            $0.manifests["3.2"] = index
            $0.manifests["sha256:\(Digest.of(index).hex)"] = index
        }
        #expect(try lock(Self.options()).entry.images?.first?.manifest == Digest.of(amd64.manifest))
        let other = try Self.options(Self.name, #","platform":"linux/arm64""#)
        #expect(try lock(other).entry.images?.first?.manifest == Digest.of(arm64.manifest))
        // The digest of an index names it as well.
        let byDigest = try Self.options("registry.invalid/group/pause@sha256:\(Digest.of(index).hex)")
        #expect(try lock(byDigest).entry.images?.first?.manifest == Digest.of(amd64.manifest))
        let none = try Self.options(Self.name, #","platform":"linux/riscv64""#)
        let error = failure { _ = try lock(none) }
        #expect(error?.code == .badInput)
        #expect(error?.message == "\(registry.url): \(Self.name) is not there for linux/riscv64")
        #expect(error?.details == ["it is there for linux/arm64/v8, linux/amd64"])
    }

    @Test func anImageOfAnotherPlatformIsRefused() throws {
        registry.add(TinyImage(platform: "linux/arm64"), tag: "3.2")
        let error = failure { _ = try lock(Self.options()) }
        #expect(error?.message == "\(registry.url): \(Self.name) is for linux/arm64, not linux/amd64")
    }

    @Test func onlyWhatIsNamedMoves() throws {
        registry.add(TinyImage(), tag: "3.2")
        let first = try lock(Self.options()).entry
        let moved = TinyImage(seed: 7)
        registry.add(moved, tag: "3.2")
        let asked = registry.requests.count
        #expect(try lock(Self.options(), previous: first).entry == first)
        #expect(registry.requests.count == asked, "an image that is named as it was asks nobody")
        let second = try lock(Self.options(), previous: first, update: .packages([Self.name]))
        #expect(second.entry.images?.first?.manifest == Digest.of(moved.manifest))
        #expect(second.changes.count == 1)
        let renamed = try Self.options(Self.name, #","as":"a.example/b:1""#)
        #expect(try lock(renamed, previous: first).entry.images?.map(\.name) == ["a.example/b:1"])
    }

    @Test func twoImagesOfOneNameAreRefused() throws {
        let options = try JSON(
            parsing: Array(#"{"images":[{"image":"\#(Self.name)"},{"image":"\#(Self.name)"}]}"#.utf8), file: "options")
        #expect(failure { _ = try lock(options) }?.message == "two images are called \(Self.name)")
    }

    // MARK: Registries that lie

    @Test func anotherManifestUnderADigestIsRefused() throws {
        let image = TinyImage()
        registry.add(image)
        registry.state.withLock {
            $0.manifests["sha256:\(Digest.of(image.manifest).hex)"] = TinyImage(seed: 9).manifest
        }
        let error = failure {
            _ = try lock(Self.options("registry.invalid/group/pause@sha256:\(Digest.of(image.manifest).hex)"))
        }
        #expect(error?.code == .verification)
        #expect(error?.message.hasSuffix("the manifest offered is not the one that the recipe names") == true)
    }

    @Test(arguments: [30_000, 29_999])
    func otherBytesOfALayerAreRefused(_ size: Int) throws {
        let image = TinyImage()
        registry.add(image, tag: "3.2")
        let entry = try lock(Self.options()).entry
        let evil = content(size, seed: 66)
        registry.state.withLock { $0.blobs["sha256:\(Digest.of(image.layers[0]).hex)"] = evil }
        let error = failure { try fetch(Self.options(), entry, into: store) }
        #expect(error?.code == .verification)
        let name = "\(Self.name): blob \(Digest.of(image.layers[0]).hex.prefix(12))…"
        #expect(error?.message == "\(name): the bytes offered are not those that the lock names")
        #expect(error?.remedy?.hasSuffix("name another one: --mirror REGISTRY=URL") == true)
        #expect(try !store.contains(Digest.of(evil)) && !store.contains(Digest.of(image.layers[0])))
        #expect(try store.contains(Digest.of(image.layers[1])), "what is right comes in")
        registry.add(image)
        try fetch(Self.options(), entry, into: store)
        #expect(try store.read(Digest.of(image.layers[0])) == image.layers[0])
    }

    @Test func whatIsMissingIsNamed() throws {
        let image = TinyImage()
        let none = failure { _ = try lock(Self.options()) }
        #expect(none?.code == .network)
        #expect(none?.message == "\(registry.url) has no image \(Self.name)")
        registry.add(image, tag: "3.2")
        let entry = try lock(Self.options()).entry
        registry.state.withLock { $0.blobs = [:] }
        let error = failure { try fetch(Self.options(), entry, into: store) }
        #expect(error?.code == .network)
        #expect(
            error?.message.hasPrefix("2 files are not there: \(Self.name): blob ") == true,
            "\(String(describing: error))")
    }

    @Test(arguments: [
        ("no json", "no JSON"), ("{}", "neither a manifest nor an index"),
        (#"{"schemaVersion":1}"#, "Docker's first form"),
        (#"{"layers":[],"config":{"digest":"md5:00","size":1}}"#, "“md5:00” is no SHA-256"),
        (#"{"layers":[{"size":1}],"config":{}}"#, "a part without digest or size"),
        (
            #"{"layers":[],"config":{"digest":"sha256:\#(String(repeating: "0", count: 64))","size":-1}}"#,
            "a part without"
        ),
    ])
    func whatIsNoImageIsRefused(_ text: String, _ cause: String) throws {
        registry.state.withLock { $0.manifests["3.2"] = Array(text.utf8) }
        let error = failure { _ = try lock(Self.options()) }
        #expect(error?.code == .verification)
        #expect(error?.message.contains("\(Self.name) is no image: \(cause)") == true, "\(error?.message ?? "")")
    }

    // MARK: Tokens

    @Test func theTokenOfEverybodyIsAskedForAndShown() throws {
        let image = TinyImage()
        registry.add(image, tag: "3.2")
        registry.state.withLock { $0.token = "abc.def" }
        let entry = try lock(Self.options()).entry
        try fetch(Self.options(), entry, into: store)
        #expect(try store.contains(Digest.of(image.layers[0])))
        #expect(registry.state.withLock { $0.given } == 2, "one to lock, one to build")
        let refused = registry.requests.filter { $0.headers["authorization"] == nil && !$0.path.hasPrefix("/token") }
        #expect(refused.map(\.path) == ["/v2/", "/v2/"], "nothing else is asked twice")
    }

    @Test func aTokenThatIsNoLongerGoodIsRenewedOnce() throws {
        let image = TinyImage()
        registry.add(image, tag: "3.2")
        registry.state.withLock { $0.token = "first" }
        let locked = try #require(try lock(Self.options()).entry.images?.first)
        let own = Registry(base: registry.url, repository: "group/pause", fetcher: fetcher, store: store)
        let reference = try #require(ImageReference(Self.name))
        _ = try own.manifest(of: reference)
        registry.state.withLock { $0.token = "second" }
        try own.fetch(locked.blobs.map { ($0, false) }, of: reference) { _ in }
        #expect(try store.contains(Digest.of(image.layers[0])))
    }

    @Test(arguments: [
        ("Basic realm=\"x\"", "it wants a user name and password"),
        ("Bearer service=\"x\"", "it wants a user name and password"),
        ("Bearer realm=\"%/nothing\"", "nor does its token service, %/nothing"),
        ("Bearer realm=\"%/token\"", "nor does its token service, %/token"),
        (#"Bearer realm="%/token",service="tiny registry",scope="x""#, "gives no token"),
    ])
    func whoDoesNotAnswerEverybodyIsNamed(_ challenge: String, _ detail: String) throws {
        registry.add(TinyImage(), tag: "3.2")
        registry.state.withLock {
            // The service answers with an empty token.
            $0.token = ""
            $0.challenge = challenge
        }
        let error = failure { _ = try lock(Self.options()) }
        #expect(error?.code == .network)
        #expect(error?.message == "\(registry.url) does not answer everybody")
        #expect(
            error?.details.first?.hasSuffix(detail.replacing("%", with: registry.url)) == true,
            "\(error?.details ?? [])")
        #expect(error?.remedy?.contains("layout") == true)
    }

    @Test func theTokenStaysWithTheRegistry() throws {
        let image = TinyImage()
        let depot = FetchServer { request in
            let hex = request.path.dropFirst("/sha256:".count)
            return image.blobs.first { Digest.of($0).hex == hex }.map { .ok($0) } ?? .status(404)
        }
        registry.add(image, tag: "3.2")
        registry.state.withLock {
            $0.token = "abc"
            $0.redirect = depot.url
        }
        try fetch(Self.options(), lock(Self.options()).entry, into: store)
        #expect(try store.contains(Digest.of(image.layers[0])))
        #expect(!depot.requests.isEmpty && depot.requests.allSatisfy { $0.headers["authorization"] == nil })
    }

    @Test(arguments: [
        (
            #"Bearer realm="https://a/t?x=1",service="b c",scope="repository:x:pull,push""#,
            ["realm", "scope", "service"]
        ),
        ("bearer realm=https://a/t, service=b", ["realm", "service"]), ("Bearer ", []),
    ])
    func challengesAreRead(_ text: String, _ names: [String]) throws {
        let fields = try #require(Registry.fields(ofBearer: text))
        #expect(fields.keys.sorted() == names)
        #expect(fields["realm"].map { $0.hasPrefix("https://a/t") } ?? true)
        #expect(fields["scope"].map { $0 == "repository:x:pull,push" } ?? true)
    }

    // MARK: Layouts

    /// A layout with one image under two annotations each.
    private func layout(_ images: [(name: String?, tag: String?, image: TinyImage)]) throws -> String {
        let list = images.map { name, tag, image in
            let annotations = [("io.containerd.image.name", name), ("org.opencontainers.image.ref.name", tag)]
                .compactMap { key, value in value.map { #""\#(key)":"\#($0)""# } }
            return TinyImage.descriptor(
                "m", image.manifest, more: #","annotations":{\#(annotations.joined(separator: ","))}"#)
        }
        try scratch.write("layout/index.json", #"{"schemaVersion":2,"manifests":[\#(list.joined(separator: ","))]}"#)
        try Files.makeDirectories("\(scratch.path)/layout/blobs/sha256")
        for image in images.map(\.image) {
            for bytes in [image.manifest] + image.blobs {
                try Files.write("\(scratch.path)/layout/blobs/sha256/\(Digest.of(bytes).hex)", bytes)
            }
        }
        return scratch.path + "/layout"
    }

    private func lock(_ image: String, in directory: String) throws -> LockedImage? {
        try lock(Self.options(image, #","layout":"images""#), paths: ["images": directory]).entry.images?.first
    }

    @Test func aLayoutIsReadInPlaceOfARegistry() throws {
        let (one, two) = (TinyImage(seed: 1), TinyImage(seed: 2))
        let directory = try layout([
            ("registry.invalid/group/pause:3.2", "3.2", one), (nil, "v7", two),
        ])
        #expect(try lock(Self.name, in: directory)?.manifest == Digest.of(one.manifest))
        #expect(try lock("any.example/x:v7", in: directory)?.manifest == Digest.of(two.manifest))
        #expect(
            try lock("any.example/x@sha256:\(Digest.of(two.manifest).hex)", in: directory)?.blobs
                == two.blobs.map { Digest.of($0) })
        #expect(registry.requests.isEmpty)
        let error = failure { _ = try lock("registry.invalid/group/pause:3.3", in: directory) }
        #expect(error?.message.hasPrefix("images has no image registry.invalid/group/pause:3.3; did you mean") == true)
        #expect(error?.details == ["it has registry.invalid/group/pause:3.2, v7"])
    }

    @Test func aLayoutThatIsNoneIsRefused() throws {
        let image = TinyImage()
        let directory = try layout([(nil, "3.2", image), (nil, "3.2", TinyImage(seed: 2))])
        #expect(
            failure { _ = try lock(Self.name, in: directory) }?.message
                == "images has 2 images that could be \(Self.name)")
        _ = try layout([(nil, "3.2", image)])
        let name = "blobs/sha256/\(Digest.of(image.config).hex)"
        try scratch.write("layout/\(name)", "another")
        let altered = failure { _ = try lock(Self.name, in: directory) }
        #expect(altered?.code == .verification)
        #expect(altered?.message == "images/\(name) does not have the SHA-256 that is its name")
        try Files.remove("\(directory)/\(name)")
        #expect(failure { _ = try lock(Self.name, in: directory) }?.message.hasSuffix("it has no \(name)") == true)
        try Files.remove("\(directory)/index.json")
        #expect(failure { _ = try lock(Self.name, in: directory) }?.message.hasSuffix("it has no index.json") == true)
    }
}
