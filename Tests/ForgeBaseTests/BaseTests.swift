import ForgeBase
import Testing

@Suite struct DigestTests {
    /// FIPS 180-4, appendix B.1.
    @Test func theDigestOfAbcIsTheStandards() {
        let digest = Digest.of("abc")
        #expect(digest.hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(digest.size == 3)
        #expect(digest.description == digest.hex + "/3")
    }

    @Test func piecesGiveTheSameDigestAsTheWhole() {
        let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var hasher = SHA256()
        for start in stride(from: 0, to: bytes.count, by: 977) {
            hasher.update(Array(bytes[start..<min(start + 977, bytes.count)]))
        }
        #expect(hasher.finish() == Digest.of(bytes))
    }

    @Test(arguments: ["", "abc/3", String(repeating: "A", count: 64) + "/1", String(repeating: "a", count: 64) + "/-1"])
    func wrongDigestsAreRefused(text: String) { #expect(Digest(text) == nil) }

    @Test func theWrittenFormIsReadBack() { #expect(Digest(Digest.of("x").description) == Digest.of("x")) }
}

@Suite struct CanonicalEncoderTests {
    @Test func fieldsCantRunIntoEachOther() {
        func digest(_ fields: String...) -> Digest {
            var encoder = CanonicalEncoder(domain: "test")
            for field in fields { encoder.add(field) }
            return encoder.digest
        }
        #expect(digest("ab", "c") != digest("a", "bc"))
        #expect(digest("a", "") != digest("a"))
        #expect(CanonicalEncoder(domain: "a").digest != CanonicalEncoder(domain: "b").digest)
    }

    /// Keys must never change by accident: they are on people's disks.
    @Test func theEncodingIsPinned() {
        var encoder = CanonicalEncoder(domain: "forge.test.1")
        encoder.add("field")
        encoder.add(42 as UInt64)
        #expect(encoder.bytes.count == 8 + 12 + 8 + 5 + 8)
        #expect(Array(encoder.bytes.prefix(8)) == [12, 0, 0, 0, 0, 0, 0, 0])
    }
}

@Suite struct ByteStringTests {
    @Test func composedAndDecomposedLettersAreDifferentNames() {
        let composed = ByteString("\u{e9}"), decomposed = ByteString("e\u{301}")
        #expect("\u{e9}" == "e\u{301}", "Swift's strings call them equal")
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed]).count == 2)
    }

    @Test func orderIsThatOfBytes() {
        #expect(ByteString("Z") < ByteString("a") && ByteString("a") < ByteString("a/b"))
    }
}

@Suite struct JSONTests {
    @Test(arguments: [
        "null", "true", "[1,-2,0]", "{\"a\":\"b\",\"c\":[]}", "\"\\n\\t\\\"\\\\\"", "{}", "[[[]]]", "\"é😀\"", "1.5",
    ]) func whatIsWrittenIsReadBack(text: String) throws {
        let value = try JSON(parsing: text, file: "test")
        #expect(value.description == text)
        #expect(try JSON(parsing: value.pretty(), file: "test") == value)
    }

    @Test(arguments: [
        ("{\"a\":1,\"a\":2}", "test:1:11: not valid JSON: key “a” appears twice"),
        ("[1,]", "test:1:4: not valid JSON: expected a value"),
        ("[1\n2]", "test:2:1: not valid JSON: expected “,”"),
        ("\"\u{1}\"", "test:1:3: not valid JSON: a control character in a string"),
        ("", "test:1:1: not valid JSON: the text ends too early"),
        ("nul", "test:1:1: not valid JSON: expected a value"),
        ("1 2", "test:1:3: not valid JSON: unexpected text after the JSON value"),
        ("\"\\ud800\"", "test:1:8: not valid JSON: half a surrogate pair"),
    ]) func faultsHaveAPlace(text: String, message: String) {
        let error = #expect(throws: ForgeError.self) { try JSON(parsing: text, file: "test") }
        #expect(error?.description == message)
    }

    /// What Swift's own number readers take and the standard does not; found by `ci/fuzz`.
    @Test(arguments: [
        "01", "-01", "+1", "1.", ".5", "-", "1e", "1e+", "1e999", "0x1", "nan", "\"\\u+123\"", "\"\\u12\"",
    ])
    func whatIsNoJSONIsRefused(text: String) {
        #expect(throws: ForgeError.self) { try JSON(parsing: text, file: "test") }
    }

    @Test(arguments: ["0", "-0", "0.5", "-1.25e-3", "1E5", "1e+2", "-9223372036854775808"])
    func numbersOfTheStandardAreRead(text: String) throws {
        let value = try JSON(parsing: text, file: "test")
        #expect(try JSON(parsing: value.description, file: "test") == value)
    }

    @Test func surrogatePairsAreOneCharacter() throws {
        #expect(try JSON(parsing: "\"\\ud83d\\ude00\"", file: "test").string == "😀")
    }

    @Test func deepNestingIsRefusedNotCrashed() {
        #expect(throws: ForgeError.self) { try JSON(parsing: String(repeating: "[", count: 100_000), file: "test") }
    }

    @Test func canonicalFieldsAreSortedByBytes() throws {
        let value = try JSON(parsing: "{\"b\":1,\"a\":{\"z\":1,\"Z\":2}}", file: "test")
        #expect(value.canonical.description == "{\"a\":{\"Z\":2,\"z\":1},\"b\":1}")
    }
}

@Suite struct SuggestionTests {
    @Test func typingErrorsAreSeen() {
        #expect(Suggestion.nearest(to: "bulid", in: ["build", "lock"]) == "build")
        #expect(Suggestion.nearest(to: "Lock", in: ["build", "lock"]) == "lock")
        #expect(Suggestion.nearest(to: "kernel", in: ["build", "lock"]) == nil)
    }
}

@Suite struct ForgeErrorTests {
    @Test func errorsComeThroughTheHelpersProtocolUnchanged() throws {
        let error = ForgeError(
            .verification, "wrong", at: SourceLocation(file: "a", line: 1, column: 2), details: ["x", "y"], remedy: "do"
        )
        #expect(ForgeError(json: try JSON(parsing: error.json.description, file: "test")) == error)
        #expect(error.description == "a:1:2: wrong\n  x\n  y\n  → do")
    }
}
