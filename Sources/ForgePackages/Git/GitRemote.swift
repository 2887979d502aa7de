import CGit2
import ForgeBase
import ForgeSystem
import Glibc

/// Brings the objects of one commit from a repository to this machine.
///
/// From a repository of this machine nothing is copied. Over HTTP it is git's protocol version 2 (gitprotocol-v2(5)) with
/// a depth of one: the commit, its trees and files, no history. libgit2 before 1.7 can't fetch so; it reads the pack that
/// comes, hashing every object. With a server that does not speak version 2, libgit2 fetches with all history.
struct GitRemote {
    let fetcher: Fetcher
    /// An empty directory for packs; the caller removes it.
    let scratch: String
    let progress: (FetchProgress) -> Void
    let note: (String) -> Void

    /// The objects of a commit.
    /// - Throws: `.network` if the repository can't be asked or does not have the commit.
    func objects(of commit: String, ref: String?, from url: String) throws -> GitObjects {
        let objects =
            FetchURL.isLocal(url) ? try local(url) : try download(commit, ref, url)
        guard objects.has(try GitLibrary.id(commit)) else { throw GitRemote.missing(commit, url, ref) }
        return objects
    }

    static func missing(_ commit: String, _ url: String, _ ref: String?) -> ForgeError {
        ForgeError(
            .network, "\(FetchURL.redacted(url)) has no commit \(commit)",
            remedy: ref == nil
                ? "correct the commit; if it is on a branch that was moved, name a tag or branch that has it: ref: …"
                : "correct the commit, or `ref`, which must lead to it")
    }

    private func local(_ url: String) throws(ForgeError) -> GitObjects {
        let path = FetchURL.localPath(url) ?? ""
        // A repository is a directory with objects, bare or in .git; its settings and its owner don't matter for reading.
        let places = [path + "/objects", path + "/.git/objects", path + ".git/objects"]
        guard let objects = places.first(where: Files.isDirectory) else {
            throw ForgeError(.network, "\(url) is no git repository", details: ["there is no \(places[0])"])
        }
        return try GitObjects { database in
            // Loose objects and packs, and what alternates name.
            git_odb_add_disk_alternate(database, objects)
        }
    }

    // MARK: HTTP

    private static let version = "Git-Protocol: version=2"

    private func download(_ commit: String, _ ref: String?, _ url: String) throws -> GitObjects {
        var base = url
        while base.hasSuffix("/") { base.removeLast() }
        guard try speaksVersion2(base) else {
            note("\(FetchURL.redacted(url)) does not speak git's protocol version 2: fetching with all history")
            return try withHistory(ref, url)
        }
        let answer = scratch + "/answer"
        let question =
            GitPacket.line("command=fetch\n") + GitPacket.line("object-format=sha1\n") + Array("0001".utf8)
            + ["no-progress\n", "ofs-delta\n", "deepen 1\n", "want \(commit)\n", "done\n"].flatMap(GitPacket.line)
            + Array("0000".utf8)
        let request = FetchRequest(
            headers: [
                GitRemote.version, "Content-Type: application/x-git-upload-pack-request",
                "Accept: application/x-git-upload-pack-result",
            ], body: question)
        try fetcher.download("\(base)/git-upload-pack", to: answer, request: request, progress: progress)
        defer { unlink(answer) }
        return try unpack(answer, commit, ref, url)
    }

    private func speaksVersion2(_ base: String) throws -> Bool {
        let asked = "\(base)/info/refs?service=git-upload-pack"
        let shown = FetchURL.redacted(base)
        guard
            case .found(let bytes, _) = try fetcher.get(
                anyOf: [asked], limit: 64 << 20, request: FetchRequest(headers: [GitRemote.version]))
        else {
            throw ForgeError(
                .network, "there is no git repository at \(shown)",
                remedy: "correct the address: `git ls-remote \(shown)` must list its branches")
        }
        let file = scratch + "/refs"
        try Files.write(file, bytes)
        defer { unlink(file) }
        var packets = try GitPacketReader(file, from: shown)
        while let packet = try packets.next() {
            guard let text = packet.text, !text.hasPrefix("# service=") else { continue }
            return text == "version 2"
        }
        throw packets.nonsense()
    }

    /// Takes the pack out of an answer and indexes it, which hashes every object.
    private func unpack(_ answer: String, _ commit: String, _ ref: String?, _ url: String) throws -> GitObjects {
        let shown = FetchURL.redacted(url)
        var packets = try GitPacketReader(answer, from: shown)
        let pack = try GitPackIndexer(directory: scratch)
        var inPack = false
        while let packet = try packets.next() {
            if let text = packet.text, text.hasPrefix("ERR ") {
                if text.contains("not our ref") { throw GitRemote.missing(commit, url, ref) }
                throw ForgeError(.network, "\(shown) refuses: \(text.dropFirst(4))")
            }
            guard inPack else {
                inPack = packet.text == "packfile"
                continue
            }
            guard case .data(let bytes) = packet, let band = bytes.first else { continue }
            switch band {
            case 1: try pack.append(bytes[1...])
            case 2: continue
            default:
                let text = String(decoding: bytes.dropFirst(), as: UTF8.self).split(separator: "\n").first ?? ""
                throw ForgeError(.network, "\(shown) fails: \(text)")
            }
        }
        guard inPack else { throw packets.nonsense() }
        let index = try pack.finish()
        return try GitObjects { database in
            var backend: OpaquePointer?
            let status = git_odb_backend_one_pack(&backend, index)
            return status == 0 ? git_odb_add_backend(database, backend, 1) : status
        }
    }

    /// All history of a ref, or of every branch and tag, through libgit2.
    private func withHistory(_ ref: String?, _ url: String) throws(ForgeError) -> GitObjects {
        try GitLibrary.start()
        let path = scratch + "/repository"
        var repository: OpaquePointer?
        var remote: OpaquePointer?
        defer {
            git_remote_free(remote)
            git_repository_free(repository)
        }
        var options = git_fetch_options()
        guard git_repository_init(&repository, path, 1) == 0,
            git_remote_create_anonymous(&remote, repository, url) == 0, forge_git_fetch_options(&options) == 0
        else { throw ForgeError(.io, "cannot make a repository in \(path): \(GitLibrary.reason)") }
        options.proxy_opts.type = GIT_PROXY_AUTO
        options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE
        let wanted = ref.map { $0.hasPrefix("refs/") ? [$0] : ["refs/heads/\($0)", "refs/tags/\($0)"] }
        let specs = (wanted ?? ["refs/heads/*", "refs/tags/*"]).map { "+\($0):\($0)" }
        let status = GitRemote.withStrings(specs) { git_remote_fetch(remote, $0, &options, nil) }
        guard status == 0 else {
            throw ForgeError(
                .network, "cannot fetch from \(FetchURL.redacted(url)): \(GitLibrary.reason)",
                remedy: "try `git ls-remote \(FetchURL.redacted(url))`")
        }
        return try GitObjects { git_odb_add_disk_alternate($0, path + "/objects") }
    }

    private static func withStrings(
        _ texts: [String], _ body: (UnsafePointer<git_strarray>) -> Int32
    ) -> Int32 {
        var pointers = texts.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { buffer in
            var array = git_strarray(strings: buffer.baseAddress, count: buffer.count)
            return body(&array)
        }
    }
}

/// Writes a pack that comes in pieces, and its index.
final class GitPackIndexer {
    private let indexer: OpaquePointer
    private let directory: String

    init(directory: String) throws(ForgeError) {
        try GitLibrary.start()
        var indexer: OpaquePointer?
        guard git_indexer_new(&indexer, directory, 0o600, nil, nil) == 0, let indexer else {
            throw ForgeError(.io, "cannot write a git pack in \(directory): \(GitLibrary.reason)")
        }
        self.indexer = indexer
        self.directory = directory
    }

    deinit { git_indexer_free(indexer) }

    func append(_ bytes: ArraySlice<UInt8>) throws(ForgeError) {
        var progress = git_indexer_progress()
        let status = bytes.withUnsafeBytes { git_indexer_append(indexer, $0.baseAddress, $0.count, &progress) }
        guard status == 0 else { throw damaged() }
    }

    /// The path of the index, beside the pack.
    func finish() throws(ForgeError) -> String {
        var progress = git_indexer_progress()
        guard git_indexer_commit(indexer, &progress) == 0, let name = git_indexer_name(indexer) else { throw damaged() }
        return "\(directory)/pack-\(String(cString: name)).idx"
    }

    private func damaged() -> ForgeError {
        ForgeError(.network, "the server sent a damaged git pack: \(GitLibrary.reason)", remedy: "try again")
    }
}
