// Index what export_vectors wrote in Lucene and search it: the storage and scoring that Anserini, OpenSearch and
// Elasticsearch build on. java -cp LUCENE:JACKSON LuceneSearch.java features|impacts FOLDER QUERIES INDEX K
//   features: bulk lines, as rank_features and sparse_vector fields keep them (FeatureField, 8 bits of mantissa)
//   impacts:  Anserini's lines, whole numbers kept as term frequencies and summed as they are
// QUERIES: lines of {"id", "vector"}. Prints {"bytes": of the index, "results": {query: [ids, best first]}}.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.*;
import java.util.*;
import java.util.stream.Stream;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.standard.StandardAnalyzer;
import org.apache.lucene.analysis.tokenattributes.*;
import org.apache.lucene.document.*;
import org.apache.lucene.index.*;
import org.apache.lucene.search.*;
import org.apache.lucene.search.similarities.Similarity;
import org.apache.lucene.store.FSDirectory;

public class LuceneSearch {
    static final ObjectMapper JSON = new ObjectMapper();

    static final class Impacts extends TokenStream {
        private final CharTermAttribute term = addAttribute(CharTermAttribute.class);
        private final TermFrequencyAttribute frequency = addAttribute(TermFrequencyAttribute.class);
        private final Iterator<Map.Entry<String, JsonNode>> entries;

        Impacts(JsonNode vector) { entries = vector.fields(); }

        @Override public boolean incrementToken() {
            if (!entries.hasNext()) return false;
            clearAttributes();
            Map.Entry<String, JsonNode> entry = entries.next();
            term.append(entry.getKey());
            frequency.setTermFrequency(entry.getValue().intValue());
            return true;
        }
    }

    static final class Sum extends Similarity {
        @Override public long computeNorm(FieldInvertState state) { return 1; }

        @Override public SimScorer scorer(float boost, CollectionStatistics collection, TermStatistics... terms) {
            return new SimScorer() {
                @Override public float score(float frequency, long norm) { return boost * frequency; }
            };
        }
    }

    public static void main(String[] args) throws IOException {
        boolean features = args[0].equals("features");
        Path index = Path.of(args[3]);
        try (FSDirectory directory = FSDirectory.open(index)) {
            IndexWriterConfig config = new IndexWriterConfig(new StandardAnalyzer());
            config.setSimilarity(new Sum());
            try (IndexWriter writer = new IndexWriter(directory, config)) {
                for (Path file : files(Path.of(args[1]))) add(writer, file, features);
                writer.forceMerge(1);
            }
            Map<String, List<String>> results = new LinkedHashMap<>();
            try (IndexReader reader = DirectoryReader.open(directory)) {
                IndexSearcher searcher = new IndexSearcher(reader);
                searcher.setSimilarity(new Sum());
                for (String line : Files.readAllLines(Path.of(args[2]))) {
                    JsonNode query = JSON.readTree(line);
                    List<String> ids = new ArrayList<>();
                    for (ScoreDoc hit : searcher.search(asked(query.get("vector"), features), Integer.parseInt(args[4])).scoreDocs)
                        ids.add(searcher.storedFields().document(hit.doc).get("id"));
                    results.put(query.get("id").asText(), ids);
                }
            }
            System.out.println(JSON.writeValueAsString(Map.of("bytes", size(index), "results", results)));
        }
    }

    static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> found = Files.list(folder)) {
            return found.filter(p -> p.getFileName().toString().startsWith("part-")).sorted().toList();
        }
    }

    static void add(IndexWriter writer, Path file, boolean features) throws IOException {
        String id = null;
        for (String line : Files.readString(file).split("\n")) {
            JsonNode record = JSON.readTree(line);
            if (features && record.has("index")) {
                id = record.get("index").get("_id").asText();
                continue;
            }
            Document document = new Document();
            document.add(new StringField("id", features ? id : record.get("id").asText(), Field.Store.YES));
            if (features) {
                for (Iterator<Map.Entry<String, JsonNode>> of = record.get("splade").fields(); of.hasNext();) {
                    Map.Entry<String, JsonNode> entry = of.next();
                    document.add(new FeatureField("splade", entry.getKey(), entry.getValue().floatValue()));
                }
            } else {
                FieldType type = new FieldType();
                type.setIndexOptions(IndexOptions.DOCS_AND_FREQS);
                type.setOmitNorms(true);
                type.setTokenized(true);
                document.add(new Field("splade", new Impacts(record.get("vector")), type));
            }
            writer.addDocument(document);
        }
    }

    static Query asked(JsonNode vector, boolean features) {
        BooleanQuery.Builder query = new BooleanQuery.Builder();
        for (Iterator<Map.Entry<String, JsonNode>> of = vector.fields(); of.hasNext();) {
            Map.Entry<String, JsonNode> entry = of.next();
            float weight = entry.getValue().floatValue();
            Query term = features
                ? FeatureField.newLinearQuery("splade", entry.getKey(), weight)
                : new BoostQuery(new TermQuery(new Term("splade", entry.getKey())), weight);
            query.add(term, BooleanClause.Occur.SHOULD);
        }
        return query.build();
    }

    static long size(Path index) throws IOException {
        try (Stream<Path> found = Files.list(index)) {
            return found.mapToLong(p -> p.toFile().length()).sum();
        }
    }
}
