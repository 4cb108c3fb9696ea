# shellcheck shell=bash
# A CA and the certificates that it signs, for tests and for trying TLS out. Sourced, never run.

# tls_sign FOLDER NAME SUBJECT SAN USE: a key and a certificate by the CA in FOLDER; USE is serverAuth or clientAuth.
tls_sign() {
    local folder=$1 name=$2 subject=$3 alternatives=$4 use=$5
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$subject" \
        -keyout "$folder/$name-key.pem" -out "$folder/$name.csr" &&
        openssl x509 -req -in "$folder/$name.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca-key.pem" -CAcreateserial \
            -days 30 -out "$folder/$name.pem" \
            -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=%s\n' "$alternatives" "$use") &&
        rm -f "$folder/$name.csr"
}

# Fills the folder $1 with ca.pem; server.pem and server-key.pem for localhost, 127.0.0.1 and ::1; client.pem and
# client-key.pem for the user guest.
tls_make_certificates() {
    local folder=$1
    mkdir -p "$folder" &&
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=CA of a test" \
            -keyout "$folder/ca-key.pem" -out "$folder/ca.pem" &&
        tls_sign "$folder" server "/CN=localhost" "DNS:localhost,IP:127.0.0.1,IP:::1" serverAuth &&
        tls_sign "$folder" client "/CN=guest" "DNS:guest" clientAuth
}
