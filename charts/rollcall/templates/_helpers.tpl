{{/* Deployment, Service, ServiceAccount, Lease and PDB have this name whatever the release is called: sidecars, the
webhook and the controller's own flags go by it. */}}
{{- define "rollcall.name" -}}
rollcall-controller
{{- end }}

{{/* What is cluster-wide has the release's namespace in its name, so that two installations do not meet. */}}
{{- define "rollcall.clusterName" -}}
{{ .Release.Namespace }}-controller
{{- end }}

{{- define "rollcall.webhookName" -}}
{{ .Release.Namespace }}-injection
{{- end }}

{{/* What never changes between upgrades: a Deployment's selector cannot. */}}
{{- define "rollcall.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "rollcall.labels" -}}
{{ include "rollcall.sharedLabels" . }}
app.kubernetes.io/component: controller
{{- end }}

{{/* As above, for what is not the controller's. */}}
{{- define "rollcall.sharedLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: rollcall
{{- end }}

{{/* An image's reference: (dict "image" … "root" $). A digest counts instead of the tag. */}}
{{- define "rollcall.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The security context of a pod that Pod Security `restricted` takes. */}}
{{- define "rollcall.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "rollcall.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Namespaces whose pods never get a sidecar: this one too, since a controller cannot wait for itself. */}}
{{- define "rollcall.exceptNamespaces" -}}
{{ append .Values.injection.namespaces.except .Release.Namespace | uniq | toJson }}
{{- end }}

{{/* What injected sidecars are, as the controller reads it. */}}
{{- define "rollcall.injectionSettings" -}}
image: {{ include "rollcall.image" (dict "image" .Values.sidecar.image "root" .) }}
imagePullPolicy: {{ .Values.sidecar.image.pullPolicy }}
resources:
  requests:
    cpu: {{ .Values.sidecar.resources.requests.cpu | toString | quote }}
    memory: {{ .Values.sidecar.resources.requests.memory | toString | quote }}
  limits:
    cpu: {{ .Values.sidecar.resources.limits.cpu | toString | quote }}
    memory: {{ .Values.sidecar.resources.limits.memory | toString | quote }}
guaranteed:
  cpu: {{ .Values.sidecar.guaranteed.cpu | toString | quote }}
  memory: {{ .Values.sidecar.guaranteed.memory | toString | quote }}
requiresTimeoutSeconds: {{ int .Values.sidecar.requiresTimeoutSeconds }}
namespaces:
  only: {{ .Values.injection.namespaces.only | toJson }}
  except: {{ include "rollcall.exceptNamespaces" . }}
{{- end }}

{{/* The Secret that somebody else keeps an authority in; empty: the controller makes its own. */}}
{{- define "rollcall.authoritySecret" -}}
{{- $given := .Values.certificates.authoritySecret -}}
{{- if eq $given "rollcall-ca" }}{{ fail "certificates.authoritySecret: rollcall-ca is the controller's own; name another one" }}{{ end -}}
{{- if $given }}{{ $given }}{{ else if .Values.certificates.certManager.enabled }}rollcall-authority{{ end }}
{{- end }}

{{/* "true" where cert-manager is there to read a Certificate. */}}
{{- define "rollcall.hasCertificates" -}}
{{- if .Capabilities.APIVersions.Has "cert-manager.io/v1/Certificate" }}true{{ end }}
{{- end }}

{{/* "true" where the Prometheus operator is there to read such an object: (dict "kind" "ServiceMonitor" "root" $). */}}
{{- define "rollcall.operatorReads" -}}
{{- if .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) }}true{{ end }}
{{- end }}
