import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeScripts
import ForgeStages
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// The stage against registries that are folders, through libcurl and a real store.
@Suite final class ImageCopyTests {
    private let scratch: String
    private let store: Store

    init() throws {
        var template = Array("/tmp/forge-image-copy-XXXXXX".utf8CString)
        scratch = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
        store = try Store(directory: scratch + "/cache")
    }

    deinit { try? Files.remove(scratch) }

    /// An image whose parts the registry has. The stage looks at no manifest, so that any bytes do.
    private func publish(_ name: String, layers: Int = 2) throws -> LockedImage {
        let repository = "\(scratch)/registry/v2/\(name)"
        func put(_ kind: String, _ text: String) throws -> Digest {
            let digest = Digest.of(text)
            try Files.makeDirectories("\(repository)/\(kind)")
            try Files.write("\(repository)/\(kind)/sha256:\(digest.hex)", text)
            return digest
        }
        let blobs = try (0...layers).map {
            try put("blobs", "\(name) blob \($0)" + String(repeating: "x", count: 20_000))
        }
        return LockedImage(
            name: "r.invalid/\(name):1", manifest: try put("manifests", "\(name) manifest"), mediaType: "m/\(name)",
            blobs: blobs)
    }

    private func run(_ images: [LockedImage], more: String = "", offline: Bool = false) throws -> StageResult {
        let items = images.map { #"{"image":"\#($0.name)","platform":"linux/amd64"\#(more)}"# }
        let options = try JSON(parsing: Array("{\"images\":[\(items.joined(separator: ","))]}".utf8), file: "options")
        let entry = LockEntry(
            id: "images", parameters: [:], locker: "images", request: .null, date: 0, body: .images(images))
        let context = StageContext(
            store: store, scratch: scratch, inputs: [], options: options, epoch: 0, architecture: "amd64", jobs: 1)
        var fetch = FetchOptions()
        fetch.attempts = 1
        fetch.retryDelay = .milliseconds(1)
        return try ImageCopy(
            context,
            LockedSources(entry: entry, mirrors: [("r.invalid", ["file://\(scratch)/registry"])], offline: offline)
        ).run(options: fetch)
    }

    private func failure(_ body: () throws -> Void) -> ForgeError? { #expect(throws: ForgeError.self) { try body() } }

    @Test func theLayoutHasEveryPartAndNamesTheImages() throws {
        let images = try [publish("pause"), publish("etcd", layers: 1)]
        let result = try run(images)
        #expect(result.outputs.map(\.name) == ["layout"])
        let tree = try Tree.load(#require(result.outputs.first).digest, from: store)
        let files = tree.entries.filter { !$0.isDirectory }.map(\.path.description)
        let digests = images.flatMap { [$0.manifest] + $0.blobs }.map { "blobs/sha256/\($0.hex)" }
        #expect(files == (digests + ["index.json", "oci-layout"]).sorted())
        for entry in tree.entries {
            guard case .file(let digest) = entry.kind else { continue }
            #expect(Digest.of(try store.read(digest)) == digest && entry.mode == 0o644)
            if entry.path.description.hasPrefix("blobs/") { #expect(entry.path.description.hasSuffix(digest.hex)) }
        }
        func text(_ name: ByteString) throws -> String? {
            guard case .file(let digest)? = tree[name]?.kind else { return nil }
            return String(decoding: try store.read(digest), as: UTF8.self)
        }
        #expect(try text("oci-layout") == "{\"imageLayoutVersion\":\"1.0.0\"}\n")
        func descriptor(_ name: String, _ image: LockedImage) -> String {
            #"{"annotations":{"io.containerd.image.name":"r.invalid/\#(name):1","org.opencontainers.image.ref.name":"1"},"#
                + #""digest":"sha256:\#(image.manifest.hex)","mediaType":"m/\#(name)","#
                + #""platform":{"architecture":"amd64","os":"linux"},"size":\#(image.manifest.size)}"#
        }
        #expect(
            try text("index.json")
                == #"{"manifests":[\#(descriptor("etcd", images[1])),\#(descriptor("pause", images[0]))],"#
                + #""mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"# + "\n")
        #expect(result.provides.contains { $0["digest"]?.string == "sha256:\(images[0].manifest.hex)" })
        // The recipe's order has no meaning, and a full cache needs nobody.
        try Files.remove(scratch + "/registry")
        #expect(try run(images.reversed(), offline: true).outputs == result.outputs)
    }

    @Test func offlineWhatIsMissingIsCounted() throws {
        let image = try publish("pause")
        _ = try store.put(file: "\(scratch)/registry/v2/pause/blobs/sha256:\(image.blobs[0].hex)")
        let error = failure { _ = try run([image], offline: true) }
        #expect(error?.code == .network)
        #expect(error?.message == "r.invalid/pause:1 is not in the cache, and --offline forbids to fetch it")
        #expect(error?.details == ["3 of 4 parts are missing"])
    }

    @Test func otherBytesThanLockedAreRefused() throws {
        let image = try publish("pause")
        let path = "\(scratch)/registry/v2/pause/blobs/sha256:\(image.blobs[1].hex)"
        try Files.write(path, [UInt8](repeating: 0, count: Int(image.blobs[1].size)))
        let error = failure { _ = try run([image]) }
        #expect(error?.code == .verification)
        #expect(try !store.contains(image.blobs[1]))
    }

    @Test func aLayoutThatLacksAPartIsNamed() throws {
        let image = try publish("pause")
        for digest in [image.manifest] + image.blobs.dropLast() {
            let kind = digest == image.manifest ? "manifests" : "blobs"
            _ = try store.put(file: "\(scratch)/registry/v2/pause/\(kind)/sha256:\(digest.hex)")
        }
        let error = failure { _ = try run([image], more: #","layout":"images""#) }
        #expect(error?.code == .badInput)
        #expect(error?.message == "images lacks parts of r.invalid/pause:1, or has others under their names")
        #expect(error?.details == ["blobs/sha256/\(image.blobs[2].hex)"])
    }

    @Test func aLockOfOtherImagesIsRefused() throws {
        let options = try JSON(parsing: Array(#"{"images":[{"image":"r.invalid/a:1"}]}"#.utf8), file: "options")
        let entry = LockEntry(
            id: "images", parameters: [:], locker: "images", request: .null, date: 0, body: .images([]))
        let context = StageContext(
            store: store, scratch: scratch, inputs: [], options: options, epoch: 0, architecture: "amd64", jobs: 1)
        let error = failure { _ = try ImageCopy(context, LockedSources(entry: entry)).run() }
        #expect(error?.message == "the lock of stage “images” does not pin the image r.invalid/a:1")
    }
}
