import ForgeBase
import ForgeRecipe
import Testing

@Suite struct YAMLTests {
    func parse(_ text: String) throws -> YAMLNode { try YAML.parse(Array(text.utf8), file: "a.yaml") }

    func fault(_ bytes: [UInt8]) -> String? {
        do throws(ForgeErrors) {
            _ = try YAML.parse(bytes, file: "a.yaml")
            return nil
        } catch { return error.description }
    }

    func fault(_ text: String) -> String? { fault(Array(text.utf8)) }

    @Test(arguments: [
        ("true", JSON.bool(true)), ("false", .bool(false)), ("null", .null), ("~", .null), ("", .null),
        ("0", .int(0)), ("-7", .int(-7)), ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
        ("on", .string("on")), ("yes", .string("yes")), ("No", .string("No")), ("True", .string("True")),
        ("1.30", .string("1.30")), ("0644", .string("0644")), ("1e3", .string("1e3")), ("0x10", .string("0x10")),
        ("-", .array([.null])), ("--", .string("--")), ("+1", .string("+1")), ("1_000", .string("1_000")),
        ("9223372036854775808", .string("9223372036854775808")), ("12:30", .string("12:30")),
        ("2026-01-01", .string("2026-01-01")), ("\"1\"", .string("1")), ("'true'", .string("true")),
        ("\"\"", .string("")), ("|\n  a\n  b\n", .string("a\nb\n")), (">-\n  a\n  b\n", .string("a b")),
    ])
    func scalar(text: String, value: JSON) throws {
        #expect(try parse("[x]").json == .array([.string("x")]))
        #expect(try parse(text).json == value)
    }

    @Test func everyKeyAndValueHasItsPlace() throws {
        let node = try parse("a: 1\nb:\n  - ü: x\n    ö: [y]\n")
        guard case .mapping(let entries) = node.content, case .sequence(let items) = entries[1].value.content,
            case .mapping(let inner) = items[0].content, case .sequence(let last) = inner[1].value.content
        else {
            Issue.record("another shape")
            return
        }
        #expect(entries[1].keyLocation.description == "a.yaml:2:1")
        #expect(items[0].location.description == "a.yaml:3:5")
        #expect(inner[0].value.location.description == "a.yaml:3:8")
        #expect(inner[1].keyLocation.description == "a.yaml:4:5")
        #expect(last[0].location.description == "a.yaml:4:9")
    }

    @Test func aliasesStandForTheirAnchors() throws {
        #expect(try parse("a: &x {k: [1, 2]}\nb: *x\n").json.description == #"{"a":{"k":[1,2]},"b":{"k":[1,2]}}"#)
    }

    @Test func aliasesCanNotExplode() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for i in 1...12 {
            text += "a\(i): &a\(i) [" + Array(repeating: "*a\(i - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        #expect(fault(text) == "a.yaml:6:10: aliases expand to more than 200000 values")
        #expect(fault("a: &a [*a]") == "a.yaml:1:8: no anchor “&a” before this alias")
    }

    @Test func depthIsLimited() throws {
        let fine = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(fault(fine) == nil)
        #expect(fault("[" + fine + "]")?.hasPrefix("a.yaml:1:65: nested deeper than 64 levels") == nil)
        #expect(fault("[[" + fine + "]]") == "a.yaml:1:66: nested deeper than 64 levels")
        #expect(fault(String(repeating: "[", count: 100_000)) == "a.yaml:1:66: nested deeper than 64 levels")
    }

    @Test func whatIsNotConfigurationIsRefused() {
        #expect(
            fault("a: 1\n---\nb: 2\n")
                == "a.yaml:2:1: more than one YAML document in the file\n  → remove the `---` line and what follows it")
        #expect(fault("a: 1\nb: 2\na: 3\nb: 4\n")?.split(separator: "\n").count == 2)
        let many = (0..<40).map { "k\($0): x\n" }.joined()
        for key in [0, 15, 16, 17, 39] {
            #expect(fault(many + "k\(key): y\n") == "a.yaml:41:1: “k\(key)” is already given in line \(key + 1)")
        }
        #expect(fault("? [a]\n: b\n") == "a.yaml:1:3: the key of a mapping must be a word")
        #expect(fault("!x y: z\n")?.hasPrefix("a.yaml:1:1: YAML tags are not supported") == true)
        #expect(fault("a: !!int \"3\"")?.hasPrefix("a.yaml:1:4: YAML tags are not supported") == true)
    }

    @Test func bytesThatAreNoTextAreRefusedWithTheirPlace() {
        #expect(fault(Array("a: b\nc: ü".utf8) + [0xff] + Array("x\n".utf8)) == "a.yaml:2:5: not valid UTF-8")
        #expect(fault([0xc3]) == "a.yaml:1:1: not valid UTF-8")
        #expect(fault([0xff, 0xfe, 0x61, 0x00]) == "a.yaml:1:1: not valid UTF-8")
        #expect(
            fault(Array("a: b\nc: x".utf8) + [0x00])
                == "a.yaml:2:5: not valid YAML: control characters are not allowed")
        #expect(fault([UInt8](repeating: 0x20, count: 65 << 20)) == "a.yaml:1:1: the file is larger than 64 MiB")
    }

    @Test func byteOrderMarkIsNoText() throws {
        #expect(try parse("\u{feff}a: 1").json.description == #"{"a":1}"#)
    }
}
