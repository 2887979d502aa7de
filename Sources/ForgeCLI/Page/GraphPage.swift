import ForgeBase
import ForgeRecipe

/// `forge graph --format html`: one file that needs nothing else. Its parts are `page.html`, `page.css`, `layout.js` and
/// `page.js`.
enum GraphPage {
    static func html(_ data: GraphData) -> String {
        var page = text(PackageResources.page_html)
        page = replacing("{{title}}", with: escaped("\(data.recipe.name) · forge"), in: page)
        page = replacing("{{style}}", with: text(PackageResources.page_css), in: page)
        let script = text(PackageResources.layout_js) + "\n" + text(PackageResources.page_js)
        page = replacing("{{script}}", with: script, in: page)
        // In JSON “<” is only in strings; written so, no text of a recipe can end the script element.
        let json = data.json.description.split(separator: "<", omittingEmptySubsequences: false)
            .joined(separator: "\\u003c")
        return replacing("{{data}}", with: json, in: page)
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Replaces the first occurrence of a mark.
    private static func replacing(_ mark: String, with text: String, in page: String) -> String {
        guard let place = page.firstRange(of: mark) else { return page }
        return page.replacingCharacters(in: place, with: text)
    }

    private static func escaped(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "<": out += "&lt;"
            case "&": out += "&amp;"
            default: out.append(character)
            }
        }
        return out
    }
}

extension String {
    fileprivate func replacingCharacters(in range: Range<String.Index>, with text: String) -> String {
        self[..<range.lowerBound] + text + self[range.upperBound...]
    }
}
