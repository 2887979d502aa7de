import ForgeBase
import ForgeRecipe
import ForgeStore

/// One repository of a registry, asked by the OCI distribution protocol over HTTP, by nobody in particular: with the token
/// that the registry's own service gives to everybody, if it wants one.
final class Registry: ImageSource {
    /// Base URL, without a slash at the end.
    let place: String
    private let repository: String
    private let fetcher: Fetcher
    private let store: any ObjectStore
    /// `Authorization:` and the token; nil if none is wanted, or none was asked for yet.
    private var authorization: String?
    private var isAuthorized = false

    init(base: String, repository: String, fetcher: Fetcher, store: any ObjectStore) {
        var base = base
        while base.hasSuffix("/") { base.removeLast() }
        place = base
        self.repository = repository
        self.fetcher = fetcher
        self.store = store
    }

    /// The places to ask for an image: mirrors of its registry, then itself.
    static func places(
        of image: ImageReference, mirrors: [(String, [String])], fetcher: Fetcher, store: any ObjectStore
    ) -> [Registry] {
        FetchURL.places(of: "\(image.isLocal ? "http" : "https")://\(image.registry)", mirrors: mirrors).map {
            Registry(base: $0, repository: image.repository, fetcher: fetcher, store: store)
        }
    }

    func manifest(of image: ImageReference) throws -> [UInt8] {
        let reference = image.sha256.map { "sha256:\($0)" } ?? image.tag ?? ""
        let answer = try fetcher.get(
            anyOf: [url("manifests", reference)], limit: ImageManifest.limit, request: try request(manifest: true))
        guard case .found(let bytes, _) = answer else {
            throw ForgeError(
                .network, "\(FetchURL.redacted(place)) has no image \(image)",
                remedy: "correct the name, or name another place with --mirror \(image.registry)=URL")
        }
        return bytes
    }

    func document(_ descriptor: ImageDescriptor, of image: ImageReference) throws -> [UInt8] {
        guard descriptor.digest.size <= ImageManifest.limit else {
            throw ImageManifest.fault("\(image)", "a document of \(descriptor.digest.size) bytes")
        }
        let isManifest = descriptor.mediaType.contains("manifest")
        try fetch([(descriptor.digest, isManifest)], of: image) { _ in }
        return try store.read(descriptor.digest)
    }

    /// Brings parts of an image into the store, those that it lacks.
    /// - Parameter parts: digests, and whether they are manifests, which have another address.
    func fetch(
        _ parts: [(digest: Digest, isManifest: Bool)], of image: ImageReference,
        progress: @escaping (FetchProgress) -> Void
    ) throws {
        var failures = try ask(parts, of: image, progress)
        // Tokens are good for some minutes, and an image can take longer.
        if isAuthorized, failures.contains(where: { $0.challenge != nil }) {
            isAuthorized = false
            failures = try ask(parts, of: image, progress)
        }
        if !failures.isEmpty { throw FetchFailure.error(failures, pin: .lockedImages) }
    }

    private func ask(
        _ parts: [(digest: Digest, isManifest: Bool)], of image: ImageReference,
        _ progress: @escaping (FetchProgress) -> Void
    ) throws -> [FetchFailure] {
        let missing = try parts.filter { try !store.contains($0.digest) }
        if missing.isEmpty { return [] }
        let files = try missing.map { part in
            PinnedFile(
                name: "\(image): \(part.isManifest ? "manifest" : "blob") \(part.digest.hex.prefix(12))…",
                sha256: part.digest.hex, size: part.digest.size,
                urls: [url(part.isManifest ? "manifests" : "blobs", "sha256:\(part.digest.hex)")],
                request: try request(manifest: part.isManifest))
        }
        return try fetcher.download(files, into: store, progress: progress).failures
    }

    private func url(_ kind: String, _ reference: String) -> String { "\(place)/v2/\(repository)/\(kind)/\(reference)" }

    // MARK: Who asks

    private func request(manifest: Bool) throws -> FetchRequest {
        if !isAuthorized {
            authorization = try token().map { "Authorization: Bearer \($0)" }
            isAuthorized = true
        }
        let accept = manifest ? ["Accept: \(ImageManifest.accepted.joined(separator: ", "))"] : []
        return FetchRequest(headers: accept + (authorization.map { [$0] } ?? []))
    }

    /// The token that the registry's service gives to everybody; nil if none is wanted.
    private func token() throws -> String? {
        guard !FetchURL.isLocal(place),
            case .unauthorized(let challenge) = try fetcher.greeting(of: "\(place)/v2/")
        else { return nil }
        guard let fields = Registry.fields(ofBearer: challenge), let realm = fields["realm"], !realm.isEmpty else {
            throw refused("it wants a user name and password")
        }
        var query = ["scope=\(Registry.escaped("repository:\(repository):pull"))"]
        if let service = fields["service"] { query.insert("service=\(Registry.escaped(service))", at: 0) }
        let url = realm + (realm.contains("?") ? "&" : "?") + query.joined(separator: "&")
        guard case .document(let bytes) = try fetcher.greeting(of: url) else {
            throw refused("nor does its token service, \(FetchURL.redacted(realm))")
        }
        let answer = try? JSON(parsing: bytes, file: "token")
        guard let token = answer?["token"]?.string ?? answer?["access_token"]?.string, Registry.isToken(token) else {
            throw refused("its token service \(FetchURL.redacted(realm)) gives no token")
        }
        return token
    }

    private func refused(_ cause: String) -> ForgeError {
        ForgeError(
            .network, "\(FetchURL.redacted(place)) does not answer everybody", details: [cause],
            remedy: "copy the image to a registry that does, or to an OCI layout in the recipe's folder (`layout`)")
    }

    /// The fields of `Bearer realm="…",service="…"`; nil for another kind of challenge.
    static func fields(ofBearer challenge: String) -> [String: String]? {
        guard challenge.lowercased().hasPrefix("bearer ") else { return nil }
        var fields: [String: String] = [:]
        var rest = challenge.dropFirst(7)[...]
        while let equals = rest.firstIndex(of: "=") {
            let name = rest[..<equals].drop { $0 == " " || $0 == "," }.lowercased()
            rest = rest[rest.index(after: equals)...]
            let isQuoted = rest.first == "\""
            if isQuoted { rest = rest.dropFirst() }
            let value = rest.prefix { isQuoted ? $0 != "\"" : $0 != "," }
            fields[name] = String(value)
            rest = rest.dropFirst(value.count).drop { $0 == "\"" }
        }
        return fields
    }

    /// A token goes into a header line.
    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    }

    /// A value of a query.
    private static func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            let plain =
                (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte | 0x20) || "-._~".utf8.contains(byte)
            return plain ? String(decoding: [byte], as: UTF8.self) : "%\(Hex.encode([byte]).uppercased())"
        }.joined()
    }
}
