{{- define "freshet.labels" -}}
app.kubernetes.io/name: freshet
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "freshet.selector" -}}
app.kubernetes.io/name: freshet
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "freshet.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "freshet.secret" -}}
{{ .Values.secrets.existing | default (printf "%s-secrets" .Release.Name) }}
{{- end }}

{{- define "freshet.claim" -}}
{{ .Values.snapshots.existingClaim | default (printf "%s-snapshots" .Release.Name) }}
{{- end }}

{{/* A new configuration is a new pod. */}}
{{- define "freshet.annotations" -}}
checksum/settings: {{ toJson .Values.settings | sha256sum }}
checksum/secrets: {{ toJson .Values.secrets | sha256sum }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "freshet.pod" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false  # a release called freshet would bring variables that look like settings
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
volumes:
  {{- if .Values.snapshots.url }}
  - name: snapshots
    emptyDir: {}
  {{- else }}
  - name: snapshots
    persistentVolumeClaim: {claimName: {{ include "freshet.claim" . }}}
  {{- end }}
  - name: tmp
    emptyDir: {}
{{- with .Values.tls.secret }}
  - name: tls
    secret: {secretName: {{ . }}}
{{- end }}
{{- end }}

{{- define "freshet.container" -}}
image: {{ include "freshet.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef: {name: {{ .Release.Name }}-settings}
  - secretRef: {name: {{ include "freshet.secret" . }}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: snapshots, mountPath: /var/lib/freshet}
  - {name: tmp, mountPath: /tmp}
{{- if .Values.tls.secret }}
  - {name: tls, mountPath: /etc/freshet/tls, readOnly: true}
{{- end }}
{{- end }}
