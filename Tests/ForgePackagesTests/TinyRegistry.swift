import ForgeBase
import ForgeSystem

/// A few images as a registry or a layout has them: what is served, by path.
struct TinyImage: Sendable {
    var documents: [String: [UInt8]] = [:]
    var manifest: [UInt8] = []
    var config: [UInt8] = []
    var layers: [[UInt8]] = []

    /// - Parameters:
    ///   - docker: in Docker's media types instead of OCI's.
    init(platform: String = "linux/amd64", seed: UInt64 = 1, docker: Bool = false) {
        let parts = platform.split(separator: "/")
        config = Array(#"{"os":"\#(parts[0])","architecture":"\#(parts[1])","rootfs":{"n":\#(seed)}}"#.utf8)
        layers = [content(30_000, seed: seed), content(500, seed: seed + 100)]
        let kind =
            docker
            ? "application/vnd.docker.distribution.manifest.v2+json" : "application/vnd.oci.image.manifest.v1+json"
        manifest = Array(
            (#"{"schemaVersion":2,"mediaType":"\#(kind)","config":\#(Self.descriptor("c", config)),"layers":["#
                + layers.map { Self.descriptor("l", $0) }.joined(separator: ",") + "]}").utf8)
    }

    /// Bytes of everything, by digest.
    var blobs: [[UInt8]] { [config] + layers }

    static func descriptor(_ kind: String, _ bytes: [UInt8], more: String = "") -> String {
        #"{"mediaType":"\#(kind)","digest":"sha256:\#(Digest.of(bytes).hex)","size":\#(bytes.count)\#(more)}"#
    }

    /// An index of images by their platforms.
    static func index(_ images: [(platform: String, image: TinyImage)]) -> [UInt8] {
        let list = images.map { platform, image in
            let parts = platform.split(separator: "/")
            let variant = parts.count > 2 ? #","variant":"\#(parts[2])""# : ""
            return descriptor(
                "application/vnd.oci.image.manifest.v1+json", image.manifest,
                more: #","platform":{"os":"\#(parts[0])","architecture":"\#(parts[1])"\#(variant)}"#)
        }
        return Array(#"{"schemaVersion":2,"manifests":[\#(list.joined(separator: ","))]}"#.utf8)
    }
}

/// A registry with one repository, `group/pause`, that can lie and can want a token.
final class TinyRegistry: Sendable {
    struct State: Sendable {
        /// By what stands behind `manifests/` and `blobs/`.
        var manifests: [String: [UInt8]] = [:]
        var blobs: [String: [UInt8]] = [:]
        /// The token that is wanted; nil for none.
        var token: String?
        /// What a 401 says; `%` is the registry's own address.
        var challenge = #"Bearer realm="%/token",service="tiny registry""#
        /// Where blobs are really; nil for here.
        var redirect: String?
        /// Tokens given.
        var given = 0
    }

    let state = Locked(State())
    private let server: FetchServer
    var url: String { server.url }
    var requests: [FetchServer.Request] { server.requests }
    var paths: [String] { requests.map(\.path) }

    init() {
        let state = state
        let address = Locked("")
        server = FetchServer { request in
            state.withLock { state in TinyRegistry.answer(request, &state, address.withLock { $0 }) }
        }
        address.withLock { $0 = server.url }
    }

    func add(_ image: TinyImage, tag: String? = nil) {
        state.withLock { state in
            if let tag { state.manifests[tag] = image.manifest }
            state.manifests["sha256:\(Digest.of(image.manifest).hex)"] = image.manifest
            for blob in image.blobs { state.blobs["sha256:\(Digest.of(blob).hex)"] = blob }
        }
    }

    private static func answer(_ request: FetchServer.Request, _ state: inout State, _ url: String) -> FetchServer.Reply
    {
        if request.path == "/token?service=tiny%20registry&scope=repository%3Agroup%2Fpause%3Apull" {
            state.given += 1
            return .ok(Array(#"{"token":"\#(state.token ?? "")","expires_in":300}"#.utf8))
        }
        if let token = state.token, request.headers["authorization"] != "Bearer \(token)" {
            return .status(401, [("WWW-Authenticate", state.challenge.replacing("%", with: url))])
        }
        let prefix = "/v2/group/pause/"
        guard request.path.hasPrefix(prefix) else { return .status(request.path == "/v2/" ? 200 : 404) }
        let rest = request.path.dropFirst(prefix.count).split(separator: "/", maxSplits: 1).map(String.init)
        guard rest.count == 2 else { return .status(404) }
        if rest[0] == "manifests" {
            guard request.headers["accept"]?.contains("application/vnd.oci.image.index.v1+json") == true else {
                return .status(406)
            }
            return state.manifests[rest[1]].map { .ok($0) } ?? .status(404)
        }
        if let redirect = state.redirect { return .status(307, [("Location", "\(redirect)/\(rest[1])")]) }
        return state.blobs[rest[1]].map { .ok($0) } ?? .status(404)
    }
}
