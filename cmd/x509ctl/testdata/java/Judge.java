import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.CertPathValidator;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXParameters;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/**
 * What Java thinks of certificates. Each line of the input is a question, its words
 * divided by tabs, and gets a line of output: "ok" and an answer, or "bad" and why.
 *
 * verify CA LEAF          is the chain in LEAF good for a server and for a client?
 * purpose CA LEAF WHAT    is it good for a "server", or a "client", or for "any" purpose at all?
 * revocation CA CRL LEAF  is the chain in LEAF good, and on none of the lists in CRL?
 * keystore P12 PW         the keys' algorithms, and how many certificates each has
 * client PORT NAME CA P12 PW
 *                         asks a server on this host for its page; the answer is that
 * server CA P12 PW        starts a server that greets its clients; the answer is its port
 *
 * Trusted are the certificates in the PEM file CA. A client or server shows what is in
 * the PKCS#12 file P12, whose password is the first line of the file PW; a client may
 * have none.
 */
public final class Judge {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split("\t");
            try {
                System.out.println("ok " + answer(words));
            } catch (Exception e) {
                System.out.println("bad " + e.toString().replace('\n', ' '));
            }
        }
        System.exit(0); // whatever servers still do
    }

    static String answer(String[] words) throws Exception {
        return switch (words[0]) {
            case "verify" -> verify(words[1], certificates(words[2]));
            case "purpose" -> purpose(words[1], certificates(words[2]), words[3]);
            case "revocation" -> revocation(words[1], words[2], certificates(words[3]));
            case "keystore" -> keystore(words[1], words[2]);
            case "client" -> client(Integer.parseInt(words[1]), words[2], context(words[3], words[4], words[5]));
            case "server" -> server(context(words[1], words[2], words[3]));
            default -> throw new IllegalArgumentException(words[0]);
        };
    }

    /** Validates a chain by RFC 5280, and as the ones of a TLS server and client. */
    static String verify(String ca, List<X509Certificate> chain) throws Exception {
        PKIXParameters parameters = new PKIXParameters(anchors(ca));
        parameters.setRevocationEnabled(false);
        var path = CertificateFactory.getInstance("X.509").generateCertPath(chain);
        CertPathValidator.getInstance("PKIX").validate(path, parameters);

        X509Certificate[] array = chain.toArray(new X509Certificate[0]);
        X509TrustManager manager = (X509TrustManager) trust(ca).getTrustManagers()[0];
        manager.checkServerTrusted(array, "UNKNOWN");
        manager.checkClientTrusted(array, "UNKNOWN");
        return chain.get(0).getSubjectX500Principal().toString();
    }

    /** Validates a chain by RFC 5280, or as the one of a TLS server or a TLS client. */
    static String purpose(String ca, List<X509Certificate> chain, String purpose) throws Exception {
        X509Certificate[] array = chain.toArray(new X509Certificate[0]);
        X509TrustManager manager = (X509TrustManager) trust(ca).getTrustManagers()[0];
        switch (purpose) {
            case "server" -> manager.checkServerTrusted(array, "UNKNOWN");
            case "client" -> manager.checkClientTrusted(array, "UNKNOWN");
            default -> {
                PKIXParameters parameters = new PKIXParameters(anchors(ca));
                parameters.setRevocationEnabled(false);
                var path = CertificateFactory.getInstance("X.509").generateCertPath(chain);
                CertPathValidator.getInstance("PKIX").validate(path, parameters);
            }
        }
        return chain.get(0).getSubjectX500Principal().toString();
    }

    /** Validates a chain by RFC 5280 with revocation lists, one for each of its CAs. */
    static String revocation(String ca, String crl, List<X509Certificate> chain) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        PKIXParameters parameters = new PKIXParameters(anchors(ca));
        try (InputStream in = new FileInputStream(crl)) {
            parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(factory.generateCRLs(in))));
        }
        CertPathValidator.getInstance("PKIX").validate(factory.generateCertPath(chain), parameters);
        return chain.get(0).getSubjectX500Principal().toString();
    }

    static String keystore(String p12, String pw) throws Exception {
        char[] password = password(pw);
        KeyStore store = store(p12, password);
        StringBuilder found = new StringBuilder();
        for (String alias : Collections.list(store.aliases())) {
            if (store.isKeyEntry(alias)) {
                PrivateKey key = (PrivateKey) store.getKey(alias, password);
                found.append(key.getAlgorithm() + " " + store.getCertificateChain(alias).length);
            }
        }
        return found.toString();
    }

    static String client(int port, String name, SSLContext context) throws Exception {
        try (Socket plain = new Socket(InetAddress.getLoopbackAddress(), port);
                SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(plain, name, port, true)) {
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            socket.setSSLParameters(parameters);
            socket.setSoTimeout(10_000);
            socket.getOutputStream().write("GET / HTTP/1.0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            byte[] page = socket.getInputStream().readAllBytes();
            return new String(page, StandardCharsets.UTF_8).replaceAll("\\s+", " ");
        }
    }

    static String server(SSLContext context) throws Exception {
        SSLServerSocket listener = (SSLServerSocket) context.getServerSocketFactory()
            .createServerSocket(0, 8, InetAddress.getLoopbackAddress());
        listener.setNeedClientAuth(true);
        Thread thread = new Thread(() -> {
            while (true) {
                try (SSLSocket socket = (SSLSocket) listener.accept()) {
                    greet(socket);
                } catch (IOException e) {
                    // The client was refused, or did not like this server: it knows.
                }
            }
        });
        thread.setDaemon(true);
        thread.start();
        return Integer.toString(listener.getLocalPort());
    }

    static void greet(SSLSocket socket) throws IOException {
        socket.setSoTimeout(10_000);
        var in = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null && !line.isEmpty(); line = in.readLine()) {
            // The request's header.
        }
        String page = "HTTP/1.0 200 OK\r\n\r\nhello " + socket.getSession().getPeerPrincipal() + "\n";
        socket.getOutputStream().write(page.getBytes(StandardCharsets.UTF_8));
    }

    static SSLContext context(String ca, String p12, String pw) throws Exception {
        char[] password = password(pw);
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(p12.isEmpty() ? null : store(p12, password), password);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust(ca).getTrustManagers(), null);
        return context;
    }

    static TrustManagerFactory trust(String ca) throws Exception {
        TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
        factory.init(anchors(ca));
        return factory;
    }

    static KeyStore anchors(String ca) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        for (X509Certificate cert : certificates(ca)) {
            store.setCertificateEntry(cert.getSerialNumber().toString(), cert);
        }
        return store;
    }

    static KeyStore store(String p12, char[] password) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(p12)) {
            store.load(in, password);
        }
        return store;
    }

    static char[] password(String file) throws IOException {
        return Files.readString(Path.of(file)).lines().findFirst().orElse("").toCharArray();
    }

    static List<X509Certificate> certificates(String file) throws Exception {
        List<X509Certificate> certs = new ArrayList<>();
        try (InputStream in = new FileInputStream(file)) {
            for (var c : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                certs.add((X509Certificate) c);
            }
        }
        return certs;
    }
}
