package import ForgeBase
import ForgeStore

/// One file of the stage `downloads`, as its options say.
package struct DownloadFile: Sendable, Equatable {
    /// Who says what the bytes must be.
    package enum Pin: Sendable, Equatable {
        /// The recipe: 64 small hexadecimal digits.
        case sha256(String)
        /// A published list of checksums, by its URL.
        case checksums(String)
    }

    /// A tar archive whose entries are wanted, not itself.
    package struct Unpack: Sendable, Equatable {
        /// Leading parts of names to drop.
        package var strip: Int
        /// Files and folders to take, after stripping; everything if there are none.
        package var pick: [String]
    }

    /// Path in the output; of an archive, the folder for what is in it.
    package var name: String
    /// In order of preference.
    package var urls: [String]
    package var pin: Pin
    package var isExecutable: Bool
    package var unpack: Unpack?

    /// What decides its digest; a lock keeps the digest as long as this is the same.
    package var identity: JSON {
        let pin: (String, JSON) =
            switch pin {
            case .sha256(let hex): ("sha256", .string(hex))
            case .checksums(let url): ("checksums", .string(url))
            }
        return .object([("name", .string(name)), pin, ("url", .array(urls.map(JSON.string)))])
    }

    /// The files of a stage's options.
    /// - Throws: `.badInput` for what the options' types can't say.
    package static func list(_ options: JSON) throws(ForgeError) -> [DownloadFile] {
        var files: [DownloadFile] = []
        for item in options["files"]?.array ?? [] {
            let file = try DownloadFile(item)
            for other in files where overlap(file.name, other.name) {
                throw fault(file.name, "“\(other.name)” has the same place in the output", "give them other names")
            }
            files.append(file)
        }
        guard !files.isEmpty else {
            throw ForgeError(.badInput, "“files” names no file", remedy: "name one, or drop the stage")
        }
        return files
    }

    private init(_ item: JSON) throws(ForgeError) {
        name = item["name"]?.string ?? ""
        urls = (item["url"]?.array ?? []).compactMap(\.string)
        isExecutable = item["executable"]?.bool ?? false
        guard !urls.isEmpty else { throw DownloadFile.fault(name, "it has no URL", "name one: url: [\"https://…\"]") }
        switch (item["sha256"]?.string, item["checksums"]?.string) {
        case (let hex?, nil): pin = .sha256(hex)
        case (nil, let url?): pin = .checksums(url)
        case (nil, nil):
            throw DownloadFile.fault(
                name, "nothing says what its bytes must be",
                "add `checksums`, the URL of the published SHA-256, or `sha256` itself (`forge hash URL` prints it)")
        default:
            throw DownloadFile.fault(name, "it has both “sha256” and “checksums”", "keep the one that is meant")
        }
        guard let json = item["unpack"] else { return }
        guard !isExecutable else {
            throw DownloadFile.fault(
                name, "“executable” is for files, and what is unpacked has modes of its own", "drop one of the two")
        }
        unpack = Unpack(
            strip: Int(json["strip"]?.int ?? 0), pick: (json["pick"]?.array ?? []).compactMap(\.string))
    }

    private static func overlap(_ a: String, _ b: String) -> Bool {
        ByteString(a).isBelow(ByteString(b)) || ByteString(b).isBelow(ByteString(a))
    }

    private static func fault(_ name: String, _ cause: String, _ remedy: String) -> ForgeError {
        ForgeError(.badInput, "file “\(name)”: \(cause)", remedy: remedy)
    }
}
