package policy_test
import ("testing";"fmt";"strings";"time";"github.com/modseal/modseal/pkg/policy")
func TestZZ(t *testing.T){
 for name, gen := range map[string]func(i int) string{
  "map": func(i int) string {return fmt.Sprintf("k%d:\n",i)},
  "seq": func(i int) string {return "- a\n"},
  "flow": func(i int) string {return fmt.Sprintf("[]\n")},
  "comments": func(i int) string {return "#\n"},
  "anchors": func(i int) string {return fmt.Sprintf("- &a%d b\n",i)},
  "quoted": func(i int) string {return "\"\n"},
  "question": func(i int) string {return "? a\n"},
  "docs": func(i int) string {return "---\n"},
  "indent": nil,
 }{
  var b strings.Builder
  if gen==nil { for i:=0;b.Len()<1<<20-3000;i++ { b.WriteString(strings.Repeat(" ",i)+"a:\n") } } else {
  for i:=0;b.Len()<1<<20-20;i++{b.WriteString(gen(i))} }
  s:=time.Now(); _,err:=policy.Parse("p",[]byte(b.String())); e:=fmt.Sprint(err); if len(e)>80{e=e[:80]}
  fmt.Println(name,b.Len(),time.Since(s),e)
 }
}
