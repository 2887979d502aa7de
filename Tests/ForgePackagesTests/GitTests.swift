import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// Trees of commits: from a repository of this machine, and over HTTP from git's own server.
@Suite struct GitTests {
    let scratch = Scratch()
    let store: any ObjectStore = MemoryStore()

    // MARK: Means

    @discardableResult
    func shell(_ text: String) throws -> String {
        let environment =
            Command.plainEnvironment + [
                ("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b"), ("GIT_COMMITTER_NAME", "a"),
                ("GIT_COMMITTER_EMAIL", "a@b"), ("GIT_AUTHOR_DATE", "1700000000 +0000"),
                ("GIT_COMMITTER_DATE", "1700000000 +0000"), ("GIT_CONFIG_NOSYSTEM", "1"), ("HOME", scratch.path),
            ]
        let script =
            "umask 022; cd \(scratch.path); git() { command git -c init.defaultBranch=main -c protocol.file.allow=always \"$@\"; }; "
        let output = try Command("/bin/sh", ["-euc", script + text], environment: environment).outputOrThrow()
        return String(decoding: output, as: UTF8.self)
    }

    /// A repository with every kind of entry; the id of its newest commit.
    @discardableResult
    func repository(_ name: String = "x") throws -> String {
        try shell(
            """
            git init -q \(name); cd \(name)
            echo old > only-old; git add .; git commit -qm old
            git rm -q only-old; mkdir -p sub/deep; printf 'a\\r\\nb $Id$ $Format:%%H$\\n' > text; echo deep > sub/deep/file
            echo secret > ignored; printf 'text text=auto export-subst ident\\nignored export-ignore\\n' > .gitattributes
            printf '#!/bin/sh\\n' > run; chmod 755 run; ln -s sub/deep link; echo .o > .gitignore
            git add -f .; git update-index --add --cacheinfo 100644,$(git hash-object -w --no-filters text),text; git commit -qm new
            """)
        return try shell("git -C \(name) rev-parse HEAD").split(separator: "\n").map(String.init)[0]
    }

    func fetch(_ source: GitSource, mirrors: [(String, [String])] = [], notes: @escaping (String) -> Void = { _ in })
        throws
        -> Tree
    {
        try Files.makeDirectories(scratch.path + "/work")
        return try GitTree(
            source, into: store, fetcher: Fetcher(partialDirectory: scratch.partial, options: quick()),
            scratch: scratch.path + "/work", mirrors: mirrors, note: notes
        ).fetch()
    }

    func text(_ tree: Tree, _ path: ByteString) throws -> String? {
        guard case .file(let digest)? = tree[path]?.kind else { return nil }
        return String(decoding: try store.read(digest), as: UTF8.self)
    }

    /// git's server behind ours. It speaks version 2 of the protocol only if it is told of the header.
    func server(version2: Bool) -> FetchServer {
        let root = scratch.path
        return FetchServer { request in
            let parts = request.path.split(separator: "?", maxSplits: 1).map(String.init)
            var environment = [
                ("PATH", "/usr/bin:/bin"), ("GIT_PROJECT_ROOT", root), ("GIT_HTTP_EXPORT_ALL", "1"),
                ("PATH_INFO", parts[0]),
                ("QUERY_STRING", parts.count > 1 ? parts[1] : ""), ("REQUEST_METHOD", request.isPost ? "POST" : "GET"),
                ("CONTENT_TYPE", request.headers["content-type"] ?? ""), ("CONTENT_LENGTH", String(request.body.count)),
                ("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*"),
            ]
            if version2, let version = request.headers["git-protocol"] { environment.append(("GIT_PROTOCOL", version)) }
            let command = Command(
                "/usr/lib/git-core/git-http-backend", environment: environment, input: .bytes(request.body),
                errors: .null)
            guard let answer = try? command.run().output else { return .status(500) }
            let end = Array("\r\n\r\n".utf8)
            guard let split = answer.indices.first(where: { answer[$0...].starts(with: end) }) else {
                return .status(500)
            }
            let head = String(decoding: answer[..<split], as: UTF8.self)
            let status = head.split(separator: "\r\n").first { $0.hasPrefix("Status: ") }.flatMap {
                Int($0.dropFirst(8).prefix(3))
            }
            let kind = head.split(separator: "\r\n").first { $0.hasPrefix("Content-Type: ") }.map {
                String($0.dropFirst(14))
            }
            return .init(
                status: status ?? 200, body: Array(answer[(split + 4)...]), headers: [("Content-Type", kind ?? "")],
                ranges: false)
        }
    }

    // MARK: The tree

    func check(_ tree: Tree) throws {
        #expect(
            tree.entries.map { "\($0.path) \(String($0.mode, radix: 8))" } == [
                " 755", ".gitattributes 644", ".gitignore 644", "ignored 644", "link 777", "run 755", "sub 755",
                "sub/deep 755", "sub/deep/file 644", "text 644",
            ])
        #expect(try text(tree, "text") == "a\r\nb $Id$ $Format:%H$\n", "no filter, no line ends, no export attributes")
        #expect(tree["link"]?.kind == .symlink("sub/deep"))
    }

    @Test func theTreeIsWhatTheCommitHolds() throws {
        let commit = try repository()
        let bare = try shell("git clone -q --bare x y.git; git -C y.git rev-parse HEAD")
        #expect(bare == commit + "\n")
        let tree = try fetch(GitSource(urls: ["file://\(scratch.path)/x"], commit: commit))
        try check(tree)
        #expect(try fetch(GitSource(urls: ["file://\(scratch.path)/y.git"], commit: commit)) == tree)
        let old = try shell("git -C x rev-parse HEAD~").split(separator: "\n").map(String.init)[0]
        #expect(
            try fetch(GitSource(urls: ["file://\(scratch.path)/x"], commit: old)).entries.map(\.path) == [
                "", "only-old",
            ])
    }

    @Test func overHTTPNoHistoryComes() throws {
        let commit = try repository()
        // Something large in the history, which a shallow fetch does not see.
        try shell(
            "cd x; head -c 3000000 /dev/urandom > big; git add big; git commit -qm big; git rm -q big; git commit -qm gone"
        )
        let newest = try shell("git -C x rev-parse HEAD").split(separator: "\n").map(String.init)[0]
        let server = server(version2: true)
        let tree = try fetch(GitSource(urls: ["\(server.url)/x/.git"], commit: newest))
        try check(tree)
        #expect(server.requests.map(\.isPost) == [false, true])
        #expect(server.sent("/x/.git/git-upload-pack") < 20_000, "\(server.sent("/x/.git/git-upload-pack")) bytes")
        // A commit that no branch ends at.
        #expect(try fetch(GitSource(urls: ["\(server.url)/x/.git"], commit: commit)) == tree)
        #expect(try Files.list(scratch.path + "/work").isEmpty, "nothing is left behind")
    }

    @Test func aServerOfTheOldProtocolGivesAllHistory() throws {
        let commit = try repository()
        let server = server(version2: false)
        nonisolated(unsafe) var notes: [String] = []
        try check(try fetch(GitSource(urls: ["\(server.url)/x/.git"], commit: commit)) { notes.append($0) })
        #expect(
            notes.first == "\(server.url)/x/.git does not speak git's protocol version 2: fetching with all history")
        try check(try fetch(GitSource(urls: ["\(server.url)/x/.git"], commit: commit, ref: "main")))
        let error = failure { _ = try fetch(GitSource(urls: ["\(server.url)/x/.git"], commit: commit, ref: "nowhere")) }
        #expect(error?.message == "\(server.url)/x/.git has no commit \(commit)")
        #expect(error?.remedy == "correct the commit, or `ref`, which must lead to it")
    }

    @Test func theTreeCanBePinnedBySHA256Too() throws {
        let commit = try repository()
        let url = "file://\(scratch.path)/x"
        let digest = Digest.of(try fetch(GitSource(urls: [url], commit: commit)).encoded()).hex
        _ = try fetch(GitSource(urls: [url], commit: commit, tree: digest))
        let wrong = String(repeating: "0", count: 64)
        let error = failure { _ = try fetch(GitSource(urls: [url], commit: commit, tree: wrong)) }
        #expect(error?.code == .verification && error?.details == ["it is \(digest)", "expected \(wrong)"])
    }

    // MARK: Submodules

    @Test func submodulesAreRefusedOrTaken() throws {
        try repository("inner")
        try shell(
            """
            git init -q outer; cd outer; git submodule -q add ../inner parts/inner 2>/dev/null; echo a > a; git add .; git commit -qm o
            """)
        let commit = try shell("git -C outer rev-parse HEAD").split(separator: "\n").map(String.init)[0]
        let inner = try shell("git -C inner rev-parse HEAD").split(separator: "\n").map(String.init)[0]
        let url = "file://\(scratch.path)/outer"
        let error = failure { _ = try fetch(GitSource(urls: [url], commit: commit)) }
        #expect(error?.message == "commit \(commit) has a submodule")
        #expect(error?.details == ["parts/inner is commit \(inner) of another repository"])
        #expect(error?.remedy?.hasPrefix("write submodules: true") == true)
        let tree = try fetch(GitSource(urls: [url], commit: commit, submodules: true))
        #expect(try text(tree, "parts/inner/sub/deep/file") == "deep\n" && tree["a"] != nil)
    }

    @Test func aRepositoryOfTheNetworkNamesNoFileOfThisMachine() throws {
        try repository("inner")
        try shell(
            "git init -q outer; cd outer; git submodule -q add file://\(scratch.path)/inner inner 2>/dev/null; git commit -qm o"
        )
        let commit = try shell("git -C outer rev-parse HEAD").split(separator: "\n").map(String.init)[0]
        let server = server(version2: true)
        let error = failure {
            _ = try fetch(GitSource(urls: ["\(server.url)/outer/.git"], commit: commit, submodules: true))
        }
        #expect(error?.message.hasSuffix("a file of this machine") == true)
    }

    // MARK: Faults

    @Test func whatIsNotThereIsNamed() throws {
        let commit = try repository()
        let server = server(version2: true)
        let wrong = String(repeating: "12", count: 20)
        for url in ["file://\(scratch.path)/x", "\(server.url)/x/.git"] {
            let error = failure { _ = try fetch(GitSource(urls: [url], commit: wrong)) }
            #expect(error?.code == .network && error?.message == "\(url) has no commit \(wrong)")
        }
        let gone = failure { _ = try fetch(GitSource(urls: ["\(server.url)/nothing.git"], commit: commit)) }
        #expect(gone?.message == "there is no git repository at \(server.url)/nothing.git")
        let local = failure { _ = try fetch(GitSource(urls: ["file://\(scratch.path)/nothing"], commit: commit)) }
        #expect(local?.message == "file://\(scratch.path)/nothing is no git repository")
        let page = FetchServer { _ in .ok(Array("<html>".utf8)) }
        let html = failure { _ = try fetch(GitSource(urls: [page.url], commit: commit)) }
        #expect(html?.message == "\(page.url) answers with something that is not git's protocol")
        let both = failure {
            _ = try fetch(
                GitSource(urls: ["file://\(scratch.path)/nothing", "file://\(scratch.path)/x"], commit: wrong))
        }
        #expect(both?.message == "no place gives commit \(wrong)" && both?.details.count == 3)
    }

    @Test func aTagIsNoCommit() throws {
        try repository()
        try shell("git -C x tag -am t v1")
        let tag = try shell("git -C x rev-parse v1").split(separator: "\n").map(String.init)[0]
        let error = failure { _ = try fetch(GitSource(urls: ["file://\(scratch.path)/x"], commit: tag)) }
        #expect(error?.message == "\(tag) is no commit but a tag")
    }

    /// An object whose bytes are not what its id says: replaced on the disk, and in a pack that a server sends.
    @Test func otherBytesThanTheIdSaysAreRefused() throws {
        let commit = try repository()
        try shell(
            """
            cd x; blob=$(git rev-parse HEAD:sub/deep/file); other=$(echo evil | git hash-object -w --stdin)
            path() { echo .git/objects/$(echo $1 | cut -c1-2)/$(echo $1 | cut -c3-); }
            chmod u+w $(path $blob); cp $(path $other) $(path $blob)
            """)
        let error = failure { _ = try fetch(GitSource(urls: ["file://\(scratch.path)/x"], commit: commit)) }
        #expect(error?.code == .verification)
        #expect(
            error?.message.contains("hash mismatch") == true || error?.message.contains("does not match") == true,
            "\(String(describing: error))")
    }

    @Test func aPackThatWasTamperedWithIsRefused() throws {
        let commit = try repository()
        let honest = server(version2: true)
        let port = honest.port
        let liar = FetchServer { request in
            var headers = request.headers.filter { ["git-protocol", "content-type"].contains($0.key) }.map {
                ("\($0.key): \($0.value)")
            }
            headers.append("Expect:")
            let url = "http://127.0.0.1:\(port)\(request.path)"
            let arguments =
                ["-s"] + headers.flatMap { ["-H", $0] } + (request.isPost ? ["--data-binary", "@-"] : []) + [url]
            guard var answer = try? Command("curl", arguments, input: .bytes(request.body)).run().output else {
                return .status(500)
            }
            // One bit in the middle of the pack.
            if request.isPost { answer[answer.count - 60] ^= 4 }
            return .init(body: answer, ranges: false)
        }
        let error = failure { _ = try fetch(GitSource(urls: ["\(liar.url)/x/.git"], commit: commit)) }
        #expect(error?.code == .network || error?.code == .verification)
        #expect(error?.message.hasPrefix("the server sent a damaged git pack") == true, "\(String(describing: error))")
    }

    @Test func aMirrorOfTheHostGoesFirst() throws {
        let commit = try repository()
        let source = GitSource(urls: ["https://git.example.invalid/x"], commit: commit)
        try check(try fetch(source, mirrors: [("git.example.invalid", ["file://\(scratch.path)"])]))
    }

    @Test func aBusyServerIsAskedAgain() throws {
        let commit = try repository()
        let honest = server(version2: true)
        let port = honest.port
        let busy = FetchServer { request in
            if request.earlier == 0 { return .status(503) }
            return .init(status: 307, headers: [("Location", "http://127.0.0.1:\(port)\(request.path)")], ranges: false)
        }
        // A redirect of a question stays a question.
        try check(try fetch(GitSource(urls: ["\(busy.url)/x/.git"], commit: commit)))
        #expect(busy.requests.count == 4)
    }
}
